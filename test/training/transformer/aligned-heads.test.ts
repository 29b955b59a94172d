import { expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import { TrainingState } from "../../../src/training/run/state.ts";
import { alignedDistances, alignHeads } from "../../../src/training/transformer/aligned-heads.ts";

const grid = 16;
const [heads, width, layers] = [8, 32, 3];
const config: DecoderConfig = {
  ...{ hiddenSize: heads * width, intermediateSize: 8, layers, heads, keyValueHeads: heads },
  ...{ vocabularySize: 8, rmsNormEpsilon: 1e-5, maxPositions: 2048, swinNorm: false },
  rope: { theta: 100, factor: 0.25 },
};

/** The share of attention that a row gives to the row `distance` before it, of `rows` rows, by the biases alone. */
function shareAt(queries: Float32Array, keys: Float32Array, distance: number, rows: number): number {
  const rotated = (x: Float32Array, position: number) =>
    Array.from({ length: width }, (_, i) => {
      const pair = i % (width / 2);
      const angle = (position / 0.25) * 100 ** (-pair / (width / 2));
      const [a, b] = [x[pair]!, x[pair + width / 2]!];
      return i < width / 2
        ? a * Math.cos(angle) - b * Math.sin(angle)
        : b * Math.cos(angle) + a * Math.sin(angle);
    });
  const query = rotated(queries, rows - 1);
  const scores = Array.from({ length: rows }, (_, position) => {
    const key = rotated(keys, position);
    return Math.exp(key.reduce((sum, value, i) => sum + value * query[i]!, 0) / Math.sqrt(width));
  });
  return scores[rows - 1 - distance]! / scores.reduce((sum, score) => sum + score);
}

test("the heads of the first layers look at their distances, and no other ones do", () => {
  const names = Array.from({ length: layers }, (_, layer) =>
    ["q_norm.weight", "q_norm.bias", "k_norm.weight", "k_norm.bias"].map(
      (name) => [`model.layers.${layer}.self_attn.${name}`, [heads, width]] as const,
    ),
  ).flat();
  const settings = { learningRate: 1e-3, matrices: "adamw" } as never;
  const state = new TrainingState(new Map(names), undefined, settings);
  for (const [name] of names) state.values(name).fill(name.endsWith("weight") ? 1 : 0);
  alignHeads(state, config, grid);
  const of = (layer: number, name: string, head: number) =>
    state.values(`model.layers.${layer}.self_attn.${name}`).subarray(head * width, (head + 1) * width);
  const distances = alignedDistances(grid);
  for (let layer = 0; layer < layers; layer++)
    for (let head = 0; head < heads; head++) {
      const distance = distances[layer]?.[head];
      if (distance === undefined) {
        expect([...of(layer, "q_norm.bias", head)].every((x) => x === 0)).toBe(true);
        expect([...of(layer, "k_norm.weight", head)].every((x) => x === 1)).toBe(true);
      } else
        expect(
          shareAt(of(layer, "q_norm.bias", head), of(layer, "k_norm.bias", head), distance, 600),
        ).toBeGreaterThan(0.95);
    }
});

test("a row that predicts a cell looks at that cell of the picture before, and at its neighbours", () => {
  // Rows of two pictures, as in a TODO part: begin, codes, end, begin, codes.
  const codes = grid * grid;
  const before = (cell: number) => 1 + cell;
  const after = (cell: number) => codes + 3 + cell;
  const cell = 5 * grid + 7;
  const row = after(cell) - 1;
  const [[next, own, above, left], [, , right, below]] = alignedDistances(grid) as [number[], number[]];
  expect(row - next!).toBe(before(cell));
  expect(row - own!).toBe(before(cell - 1));
  expect(row - above!).toBe(after(cell - grid));
  expect(row - left!).toBe(after(cell - 2));
  expect(row - right!).toBe(before(cell + 1));
  expect(row - below!).toBe(before(cell + grid));
});
