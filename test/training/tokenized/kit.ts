/** @file A small recipe with everything that contexts may be, and its batches as training draws them. */
import { join } from "node:path";
import { createImage, savePng } from "../../../src/image/index.ts";
import { Random } from "../../../src/random.ts";
import { type TransformerRecipe, transformerRecipe } from "../../../src/training/index.ts";
import {
  type ContextOptions,
  createSource,
  type PackedBatch,
} from "../../../src/training/transformer/data.ts";
import { contextSettings, preparedMix } from "../../../src/training/transformer/parts.ts";
import { sequencesOf } from "../../../src/training/transformer/start.ts";

type Settings = Parameters<typeof transformerRecipe>[0];

export const recipeOf = (tokenizers: string, change: Partial<Settings> = {}): TransformerRecipe =>
  transformerRecipe({
    ...{ steps: 8, contexts: 2, todos: 2, workers: 0, threads: 1, heldOutBatches: 1, tokenizers },
    ...{ logEvery: 1, evaluateEvery: 4, sheetEvery: 100, checkpointEvery: 3 },
    model: { layers: 1, hiddenSize: 32, intermediateSize: 32, heads: 2 },
    xprompt: { tokens: 3, maxTextTokens: 4 },
    ...change,
    mix: {
      ...{ families: ["invert", "rain", "grayscale"], heldOut: ["rotate"], exampleCounts: [1, 1] },
      ...{
        describe: 0.25,
        textToImage: 0.25,
        withoutExample: 0.3,
        exampleInstruction: 0.5,
        tokenDropout: 0.5,
      },
      ...change.mix,
    },
  });

/** The batches that a run of the recipe trains on, sampled or read, or a share of each. */
export async function batchesOf(
  recipe: TransformerRecipe,
  steps: readonly number[],
  tokenized?: ContextOptions["tokenized"],
  share?: ContextOptions["share"],
): Promise<PackedBatch[]> {
  const sequences = await sequencesOf(recipe, { threads: 1 });
  const mix = tokenized ? { ...recipe.mix, pairs: [] } : await preparedMix(recipe);
  const options = {
    ...contextSettings(recipe, mix, sequences, "train"),
    weights: recipe.loss,
    ...(tokenized && { tokenized }),
    ...(share && { share }),
  };
  const batchOf = await createSource(options);
  const batches: PackedBatch[] = [];
  for (const step of steps) batches.push(await batchOf(step));
  await sequences.tokenizers.image.release();
  return batches;
}

/** A folder of pairs that differ from each other. */
export async function writePairs(folder: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    for (const side of ["before", "after"]) {
      const image = createImage(16, 16);
      const random = Random.of(i, side);
      for (let j = 0; j < image.data.length; j++) image.data[j] = random.uniform();
      await savePng(join(folder, `${i}.${side}.png`), image);
    }
}
