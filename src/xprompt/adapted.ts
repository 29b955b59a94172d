/** @file A model with an adapter in its weights. */
import { mergeAdapter, readAdapterFolder } from "../chameleon/checkpoint/adapter-folder.ts";
import { XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import { sha256 } from "../hash.ts";

interface Weights {
  readonly weights: ReadonlyMap<string, Initializer>;
  /** Names the weights. */
  readonly checksum: string;
}

/**
 * The weights with those of the adapter folder in them.
 * @throws XPromptError when it is damaged, not supported, or of another model
 */
export async function adapted({ weights, checksum }: Weights, folder: string): Promise<Weights> {
  const adapter = await readAdapterFolder(folder);
  if (adapter.base !== undefined && adapter.base !== checksum)
    throw new XPromptError(
      `using adapter ${folder}: expected one of this model (weights ${checksum.slice(0, 16)}), got one of ${adapter.base.slice(0, 16)} (give the model that it was trained on)`,
    );
  return {
    weights: mergeAdapter(weights, adapter),
    checksum: sha256(`${checksum} ${adapter.checksum}`),
  };
}
