/** @file K-means on vectors with known clusters. */
import { expect, test } from "vitest";
import { Random } from "../../../src/random.ts";
import { cellsOf, kMeans } from "../../../src/training/tokenizer/kmeans.ts";

const centres = [
  [0, 0],
  [5, 0],
  [0, 7],
  [-6, -6],
] as const;

/** Vectors near the centres: very many near the first, few near the last. */
function vectors(): Float32Array {
  const random = Random.of(1, "vectors");
  const counts = [3000, 100, 100, 30];
  return Float32Array.from(
    centres.flatMap(([x, y], i) =>
      Array.from({ length: counts[i]! }, () => [random.normal(x, 0.1), random.normal(y, 0.1)]).flat(),
    ),
  );
}

test("finds clusters of very different sizes, reproducibly", async () => {
  const errors: number[] = [];
  const run = () =>
    kMeans(vectors(), 2, {
      count: 8,
      iterations: 12,
      random: Random.of(2, "k-means"),
      onProgress: (_, error) => errors.push(error),
    });
  const found = await run();
  for (const [x, y] of centres) {
    const distances = Array.from({ length: 8 }, (_, k) =>
      Math.hypot(found[2 * k]! - x, found[2 * k + 1]! - y),
    );
    expect(Math.min(...distances)).toBeLessThan(0.15);
  }
  expect(errors.at(-1)).toBeLessThan(errors[0]!);
  expect(await run()).toEqual(found);
});

test("fewer vectors than centroids are refused", async () => {
  const options = { count: 3, iterations: 1, random: Random.of(1, "k-means") };
  await expect(kMeans(new Float32Array(4), 2, options)).rejects.toThrow("expected at least 3 vectors, got 2");
});

test("cellsOf returns the pixels of each cell, channel by channel", () => {
  const planes = Float32Array.from({ length: 3 * 16 }, (_, i) => i);
  const cells = cellsOf(planes, 4, 2);
  expect([...cells.subarray(0, 12)]).toEqual([0, 1, 4, 5, 16, 17, 20, 21, 32, 33, 36, 37]);
  expect([...cells.subarray(36, 40)]).toEqual([10, 11, 14, 15]);
});
