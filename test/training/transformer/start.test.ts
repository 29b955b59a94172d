/** @file The initial weights of a new transformer. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadTokenizers, readWeights } from "../../../src/chameleon/checkpoint/folder.ts";
import { prepareTask, transformerRecipe } from "../../../src/training/index.ts";
import type { TrainingState } from "../../../src/training/run/state.ts";
import type { PackedBatch } from "../../../src/training/transformer/data.ts";
import { XPrompt } from "../../../src/xprompt/model.ts";
import { writeTinyTokenizers } from "../../fixtures/chameleon/kit.ts";
import { somePicture } from "../../fixtures/xprompt/kit.ts";

let tokenizers = "";
beforeAll(async () => {
  tokenizers = await mkdtemp(join(tmpdir(), "xprompt-start-"));
  await writeTinyTokenizers(tokenizers);
});
afterAll(() => rm(tokenizers, { recursive: true }));

const tinyRecipe = (model: object) =>
  transformerRecipe({
    ...{ steps: 1, optimizer: {}, schedule: {}, loss: {}, tokenizers },
    model: { hiddenSize: 64, intermediateSize: 32, layers: 1, heads: 4, ...model },
    xprompt: { tokens: 3 },
    mix: { families: ["invert"] },
    heldOutBatches: 1,
  });

async function stateOf(model: object): Promise<TrainingState> {
  const task = await prepareTask(tinyRecipe(model));
  await task.close();
  return task.state;
}

test("gains of narrow heads allow attention scores as large as those of 128 channels", async () => {
  for (const [heads, headDim] of [
    [4, 16],
    [2, 32],
  ] as const) {
    const state = await stateOf({ heads });
    const layer = "model.layers.0.self_attn";
    const [query] = state.values(`${layer}.q_norm.weight`);
    const [key] = state.values(`${layer}.k_norm.weight`);
    expect(query! * key! * Math.sqrt(headDim)).toBeCloseTo(Math.sqrt(128), 4);
    expect(state.values("model.norm.weight")[0]).toBe(1);
  }
});

test("similar codes start with similar rows in both tables", async () => {
  const state = await stateOf({});
  const { vocabulary } = (await loadTokenizers(tokenizers)).text;
  const name = "model.vqmodel.quantize.embedding.weight";
  const { data, shape } = (await readWeights(tokenizers, undefined, (each) => each === name)).get(name)!;
  const [codes, width] = shape as [number, number];
  const distance = (values: ArrayLike<number>, size: number, a: number, b: number) =>
    Math.hypot(...Array.from({ length: size }, (_, i) => values[a * size + i]! - values[b * size + i]!));
  const deviations = [0, 1].map((j) => {
    const column = Array.from({ length: codes }, (_, i) => data[i * width + j]!);
    const mean = column.reduce((sum, x) => sum + x, 0) / codes;
    return Math.sqrt(column.reduce((sum, x) => sum + (x - mean) ** 2, 0) / codes);
  });
  const even = Array.from(data, (value, i) => value / deviations[i % width]!);
  for (const table of ["model.embed_tokens.weight", "lm_head.weight"]) {
    const rows = state.values(table);
    const [ofCodes, ofRows]: [number[], number[]] = [[], []];
    for (let a = 0; a < codes; a++)
      for (let b = 0; b < a; b++) {
        ofCodes.push(distance(even, width, a, b));
        ofRows.push(distance(rows, 64, vocabulary.imageTokens[a]!, vocabulary.imageTokens[b]!));
      }
    expect(correlation(ofCodes, ofRows)).toBeGreaterThan(0.8);
    const size = Math.sqrt(rows.reduce((sum, x) => sum + x * x, 0) / rows.length);
    expect(size).toBeGreaterThan(0.015);
    expect(size).toBeLessThan(0.025);
  }
});

test("a larger resolution gives more codes, in batches and in the model", async () => {
  const task = await prepareTask(tinyRecipe({ resolution: 24 }));
  const batches = task.batches(0);
  const { packing } = (await batches.next()) as PackedBatch;
  await batches.close();
  // Nine codes of 8 × 8 pixels instead of four.
  expect(packing.todoLength).toBe(1 + 16 + 2 * (9 + 2));
  const folder = join(tokenizers, "sized");
  await task.release(folder);
  await task.close();
  const model = await XPrompt.load(folder, { threads: 1 });
  expect([model.size, model.codesPerImage]).toEqual([24, 9]);
  const picture = somePicture("a", 24);
  const { images } = await model.generate({ input: picture, seed: 1 });
  expect([images[0].width, images[0].height]).toEqual([24, 24]);
  await model.release();
  await expect(prepareTask(tinyRecipe({ resolution: 20 }))).rejects.toThrow(
    /model.resolution: expected a multiple of 8, for these tokenizers, got 20/,
  );
});

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number) =>
    mean(x.map((value, i) => (value - mx) * (y[i]! - my)));
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}
