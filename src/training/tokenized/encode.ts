/** @file The threads of `xprompt data tokenize`: batches of contexts in codes, by their numbers. */
import { loadTokenizers } from "../../chameleon/checkpoint/folder.ts";
import { buildWith } from "../../runtime/resources.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import type { BatchOf } from "../run/workers.ts";
import { type ContextBatch, type ContextSettings, sampledContexts } from "../transformer/contexts.ts";

/** A batch, and the broken records that were found on the way. */
export interface EncodedBatch extends ContextBatch<Codes> {
  readonly skipped: readonly Skipped[];
}

export function createSource(settings: ContextSettings): Promise<BatchOf<EncodedBatch>> {
  return buildWith(async (resources) => {
    const { tokenizers: folder, resolution } = settings;
    const tokenizers = await loadTokenizers(folder, { threads: 1, resolution });
    resources.own(tokenizers.image);
    const { contextsOf, skipped } = resources.own(await sampledContexts(settings, tokenizers));
    const batchOf = async (batch: number) => ({ ...(await contextsOf(batch)), skipped: skipped.splice(0) });
    return Object.assign(batchOf, { [Symbol.asyncDispose]: () => resources.release() });
  });
}
