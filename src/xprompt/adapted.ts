/** @file Merging an adapter into the weights of a model. */
import { mergeAdapter, readAdapterFolder } from "../chameleon/checkpoint/adapter-folder.ts";
import { XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import { sha256 } from "../hash.ts";

interface Weights {
  readonly weights: ReadonlyMap<string, Initializer>;
  /** Identifies the weights. */
  readonly checksum: string;
}

/**
 * Merges the adapter in `folder` into the weights.
 * @throws XPromptError when the adapter is damaged, not supported, or made for another model
 */
export async function adapted({ weights, checksum }: Weights, folder: string): Promise<Weights> {
  const adapter = await readAdapterFolder(folder);
  if (adapter.base !== undefined && adapter.base !== checksum)
    throw new XPromptError(
      `using adapter ${folder}: expected an adapter of this model (weights ${checksum.slice(0, 16)}), got an adapter of ${adapter.base.slice(0, 16)} (use the model that it was trained on)`,
      { code: "ERR_MISMATCH" },
    );
  return {
    weights: mergeAdapter(weights, adapter),
    checksum: sha256(`${checksum} ${adapter.checksum}`),
  };
}
