/** @file A model's parts from the address of its folder. */
import { XPromptError } from "../errors.ts";
import { fetchModel } from "./fetch-model.ts";
import type * as node from "./load.ts";
import { partsOf } from "./parts.ts";

export const readModel: typeof node.readModel = async (address, adapter) => {
  if (adapter !== undefined)
    throw new XPromptError(
      "loading a model: expected no adapter in a browser, got one (merge it, and load the result)",
    );
  return partsOf(await fetchModel(address));
};
