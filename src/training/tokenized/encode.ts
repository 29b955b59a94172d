/** @file The threads of `xprompt data tokenize`: batches of contexts in codes, by their numbers. */
import { loadTokenizers } from "../../chameleon/checkpoint/folder.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import { type ContextBatch, type ContextSettings, sampledContexts } from "../transformer/contexts.ts";

/** A batch, and the broken records that were found on the way. */
export interface EncodedBatch extends ContextBatch<Codes> {
  readonly skipped: readonly Skipped[];
}

export async function createSource(
  settings: ContextSettings,
): Promise<(batch: number) => Promise<EncodedBatch>> {
  const { tokenizers: folder, resolution } = settings;
  const tokenizers = await loadTokenizers(folder, { threads: 1, resolution });
  const { contextsOf, skipped } = await sampledContexts(settings, tokenizers);
  return async (batch) => ({ ...(await contextsOf(batch)), skipped: skipped.splice(0) });
}
