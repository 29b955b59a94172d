/**
 * @file Jobs that tokenize one shard of a data set. A worker writes to the one place that it was started with; a job
 * cannot name another. The data sets of the recipe must be on the worker's machine, under the same paths.
 */
import { resolve } from "node:path";
import { z } from "zod";
import { sha256 } from "../../hash.ts";
import { isS3 } from "../../runtime/storage/s3.ts";
import type { JobKind } from "../kind.ts";

/** Names the place that shards are written to: a folder, or `s3://bucket/prefix`. */
export function tokenizeFingerprint(place: string): string {
  const whole = isS3(place) ? place.replace(/\/+$/, "") : resolve(place);
  return sha256(JSON.stringify(["tokenize", whole])).slice(0, 16);
}

const count = z.int().min(0);

const data = z.strictObject({
  /** Complete, as it is in `recipe.json` of a run. */
  recipe: z.looseObject({ kind: z.literal("transformer") }),
  batches: count.min(1),
  shards: count.min(1),
  /** The shard to make, counted from 0. */
  index: count,
});
const result = z.object({
  /** Broken records of data sets that were left out: which, and why. */
  skipped: z.array(z.tuple([z.string(), z.string()])),
});

export const tokenizeProgress = z.object({ batches: count });

export const tokenize: JobKind<typeof data, typeof result> = {
  name: "tokenize",
  workerOption: "--tokens",
  data,
  result,
  fingerprint: ({ tokens }) => (tokens === undefined ? undefined : tokenizeFingerprint(tokens)),
  async handle({ recipe, index, ...sizes }, { tokens }, { signal, onProgress }) {
    // Workers without such jobs do not load the code of training.
    const { tokenizeShard, transformerRecipe } = await import("../../training/index.ts");
    const skipped = new Map<string, string>();
    let done = 0;
    await tokenizeShard(index, {
      ...{ recipe: transformerRecipe(recipe as never), destination: tokens!, ...sizes, signal },
      onSkip: ({ set, row, why }) => skipped.set(`${set}#${row}`, `${set}: ${why}`),
      onBatch: () => void onProgress({ batches: ++done }).catch(() => {}),
    });
    return { skipped: [...skipped] };
  },
};
