/**
 * @file Features of image codes: the code's vector along the principal axes of the codebook, with variance 1 per axis,
 * and the squares of these values. The squares let linear logits select one region of the codebook, because −|v − c|² is
 * linear in v and v².
 */
import type { CodeFeatures } from "../../chameleon/model/shared-rows.ts";
import type { Vocabulary } from "../../chameleon/tokenizers/vocabulary.ts";

/** Features are clipped at this many standard deviations, so that outliers do not dominate. */
const CLIP = 4;

export interface Codebook {
  /** `[codes, width]` */
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** Features of all tokens. Rows of image codes have length 1 on average; rows of other tokens are zero. */
export function codeFeatures({ data, shape }: Codebook, { imageTokens, size }: Vocabulary): CodeFeatures {
  const [codes, width] = shape as readonly [number, number];
  const scores = standardized(principalScores(data, codes, width), codes, width);
  const squares = standardized(
    scores.map((x) => x * x),
    codes,
    width,
  );
  const all = new Float32Array(size * 2 * width);
  const scale = 1 / Math.sqrt(2 * width);
  for (let code = 0; code < codes; code++)
    for (const [i, part] of [scores, squares].entries())
      for (let j = 0; j < width; j++) {
        const value = Math.max(-CLIP, Math.min(CLIP, part[code * width + j]!));
        all[(imageTokens[code]! * 2 + i) * width + j] = value * scale;
      }
  return { data: all, width: 2 * width };
}

/** Scales every column to mean 0 and variance 1. Constant columns become 0. */
export function standardized(data: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let j = 0; j < columns; j++) {
    const column = Float64Array.from({ length: rows }, (_, i) => data[i * columns + j]!);
    const mean = column.reduce((sum, x) => sum + x, 0) / rows;
    const deviation = Math.sqrt(column.reduce((sum, x) => sum + (x - mean) ** 2, 0) / rows) || 1;
    for (let i = 0; i < rows; i++) result[i * columns + j] = (column[i]! - mean) / deviation;
  }
  return result;
}

/** Projects the rows on the eigenvectors of their covariance. */
function principalScores(data: Float32Array, rows: number, columns: number): Float32Array {
  const means = Float64Array.from({ length: columns }, (_, j) => {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += data[i * columns + j]!;
    return sum / rows;
  });
  const covariance = new Float64Array(columns * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const x = data[i * columns + j]! - means[j]!;
      for (let k = 0; k <= j; k++) covariance[j * columns + k]! += x * (data[i * columns + k]! - means[k]!);
    }
  for (let j = 0; j < columns; j++)
    for (let k = 0; k < j; k++) covariance[k * columns + j] = covariance[j * columns + k]!;
  const axes = eigenvectors(covariance, columns);
  const scores = new Float32Array(data.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let score = 0;
      for (let k = 0; k < columns; k++)
        score += (data[i * columns + k]! - means[k]!) * axes[k * columns + j]!;
      scores[i * columns + j] = score;
    }
  return scores;
}

/** Eigenvectors of a symmetric matrix `[n, n]`, as columns, by cyclic Jacobi rotations (Golub and Van Loan, 8.5). */
function eigenvectors(matrix: Float64Array, n: number, sweeps = 12): Float64Array {
  const a = matrix.slice();
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const rotate = (x: Float64Array, i: number, j: number, c: number, s: number) => {
    const [first, second] = [x[i]!, x[j]!];
    x[i] = c * first - s * second;
    x[j] = s * first + c * second;
  };
  for (let sweep = 0; sweep < sweeps; sweep++)
    for (let p = 0; p < n - 1; p++)
      for (let q = p + 1; q < n; q++) {
        const off = a[p * n + q]!;
        if (Math.abs(off) < 1e-12) continue;
        const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * off);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        for (let k = 0; k < n; k++) rotate(a, k * n + p, k * n + q, c, t * c);
        for (let k = 0; k < n; k++) rotate(a, p * n + k, q * n + k, c, t * c);
        for (let k = 0; k < n; k++) rotate(vectors, k * n + p, k * n + q, c, t * c);
      }
  return vectors;
}
