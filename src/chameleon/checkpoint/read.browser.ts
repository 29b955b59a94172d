/** @file Browsers have no folders. */
import { XPromptError } from "../../errors.ts";
import type * as node from "./read.ts";

export const readCheckpoint: typeof node.readCheckpoint = async (folder) => {
  throw new XPromptError(
    `loading model ${folder}: expected Node, got a browser (load a model of X-Prompt with XPrompt.load or XPrompt.fromFiles)`,
  );
};
