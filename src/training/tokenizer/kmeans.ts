/**
 * @file K-means (Lloyd's algorithm) for codebooks. Distances are one matrix product per chunk. Empty and rarely used
 * centroids move to vectors with a large error, so that all centroids are used in the end.
 */
import { nearestCodes } from "../../chameleon/tokenizers/vqgan.ts";
import { exportOnnx, Graph } from "../../graph/index.ts";
import type { Random } from "../../random.ts";
import { float32, Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";

export interface KMeansOptions {
  /** Number of centroids. */
  readonly count: number;
  readonly iterations: number;
  readonly random: Random;
  readonly session?: SessionOptions;
  readonly onProgress?: (iteration: number, meanSquaredError: number) => void;
}

/** Vectors per run. Limits the distance matrix to `CHUNK · count` floats. */
const CHUNK = 1024;
/** A centroid moves if it has less than this share of the mean number of vectors per centroid. */
const RARE = 0.05;
/** Share of the iterations during which rare centroids move. */
const MOVING = 0.75;

/**
 * Computes the centroids of `vectors`, `[count, width]`.
 * @param vectors `[n, width]`, at least as many as centroids
 */
export async function kMeans(
  vectors: Float32Array,
  width: number,
  { count, iterations, random, session, onProgress }: KMeansOptions,
): Promise<Float32Array> {
  const n = vectors.length / width;
  if (n < count) throw new RangeError(`k-means: expected at least ${count} vectors, got ${n}`);
  const centroids = new Float32Array(count * width);
  const first = random.shuffle(Array.from({ length: n }, (_, i) => i)).slice(0, count);
  for (const [k, i] of first.entries())
    centroids.set(vectors.subarray(i * width, (i + 1) * width), k * width);
  const nearest = await nearestCentroids(width, count, session);
  try {
    for (let iteration = 0; iteration < iterations; iteration++) {
      const { codes, errors } = await nearest.of(vectors, centroids);
      const counts = new Float64Array(count);
      const sums = new Float64Array(count * width);
      for (let i = 0; i < n; i++) {
        const k = codes[i]!;
        counts[k]! += 1;
        for (let j = 0; j < width; j++) sums[k * width + j]! += vectors[i * width + j]!;
      }
      for (let k = 0; k < count; k++)
        if (counts[k]! > 0)
          for (let j = 0; j < width; j++) centroids[k * width + j] = sums[k * width + j]! / counts[k]!;
      if (iteration < MOVING * iterations)
        moveRare(centroids, width, counts, vectors, errors, (RARE * n) / count, random);
      onProgress?.(iteration + 1, errors.reduce((total, error) => total + error, 0) / n / width);
    }
  } finally {
    await nearest.release();
  }
  return centroids;
}

/** Cuts planes into cells, row by row: `[n, 3, side, side]` → `[n · (side / cell)², 3 · cell²]`. */
export function cellsOf(planes: Float32Array, side: number, cell: number): Float32Array {
  const grid = side / cell;
  const cells = new Float32Array(planes.length);
  let at = 0;
  for (let start = 0; start < planes.length; start += 3 * side * side)
    for (let row = 0; row < grid; row++)
      for (let column = 0; column < grid; column++)
        for (let channel = 0; channel < 3; channel++)
          for (let y = 0; y < cell; y++) {
            const from = start + (channel * side + row * cell + y) * side + column * cell;
            cells.set(planes.subarray(from, from + cell), at);
            at += cell;
          }
  return cells;
}

/** Moves rare centroids to vectors that are sampled in proportion to their squared error. */
function moveRare(
  centroids: Float32Array,
  width: number,
  counts: Float64Array,
  vectors: Float32Array,
  errors: Float32Array,
  rare: number,
  random: Random,
): void {
  const cumulative = new Float64Array(errors.length);
  let total = 0;
  for (let i = 0; i < errors.length; i++) cumulative[i] = total += Math.max(0, errors[i]!);
  for (let k = 0; k < counts.length; k++) {
    if (counts[k]! >= rare) continue;
    const aim = random.uniform() * total;
    let [low, high] = [0, errors.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle]! > aim) high = middle;
      else low = middle + 1;
    }
    centroids.set(vectors.subarray(low * width, (low + 1) * width), k * width);
  }
}

/** Finds the nearest centroid of each vector, and its squared distance. */
async function nearestCentroids(width: number, count: number, options?: SessionOptions) {
  const graph = new Graph();
  const x = graph.input("vectors", "float32", ["n", width]);
  const centroids = graph.input("centroids", "float32", [count, width]);
  const session = await Session.create(exportOnnx({ codes: nearestCodes(x, centroids) }), options);
  return {
    async of(vectors: Float32Array, values: Float32Array) {
      const n = vectors.length / width;
      const codes = new Int32Array(n);
      const errors = new Float32Array(n);
      for (let start = 0; start < n; start += CHUNK) {
        const rows = Math.min(CHUNK, n - start);
        const part = vectors.subarray(start * width, (start + rows) * width);
        const found = await session.run({
          vectors: float32(part, [rows, width]),
          centroids: float32(values, [count, width]),
        });
        for (const [i, code] of (found.codes!.data as BigInt64Array).entries())
          codes[start + i] = Number(code);
      }
      for (let i = 0; i < n; i++) {
        const [from, to] = [i * width, codes[i]! * width];
        let error = 0;
        for (let j = 0; j < width; j++) error += (vectors[from + j]! - values[to + j]!) ** 2;
        errors[i] = error;
      }
      return { codes, errors };
    },
    release: () => session.release(),
  };
}
