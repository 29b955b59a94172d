/**
 * @file The colour map from one small picture to another: one affine map for the whole picture if that explains the
 * change, or a bilateral grid of affine maps if a local map explains it clearly better.
 *
 * Both fits are robust (iteratively reweighted least squares with Geman–McClure weights): parts that were added,
 * removed or moved do not bias the map of the rest.
 */
import {
  type BilateralGrid,
  COEFFICIENTS,
  type GridPenalties,
  type GridShape,
  inverse,
  mapColours,
  mapPixel,
  normalEquations,
  type Slices,
  slicesOf,
  solveGrid,
} from "./bilateral-grid.ts";
import { blurMap } from "./filters.ts";
import type { Image } from "./image.ts";

const GRID: GridShape = { across: 6, down: 6, levels: 6 };
/** A grid of one vertex: one affine map for the whole picture. */
const POINT: GridShape = { across: 1, down: 1, levels: 1 };
/** Candidate smoothness values of grids, the smoothest first. */
const SMOOTHNESS = [1, 0.1, 0.01, 0.001] as const;
/** Share by which a grid must lower the loss on held-out pixels, compared to the affine map or a smoother grid. */
const LEAST_GAIN = 0.25;
/**
 * Least decrease of the mean squared error, in units of the tokenizer's error. The tokenizer's errors in the two
 * pictures are correlated; a grid fits this correlation, which is not part of the change.
 */
const LEAST_FALL = 0.1;
const LEAST_FURTHER_GAIN = 0.1;
/** Edge of the blocks that are held out in turn, as a share of the picture's edge. */
const HELD_OUT = 1 / 8;
const ROUNDS = 3;
/** Iterations of a fit, of further rounds that go on from it, and of those that only choose the smoothness. */
const ITERATIONS = 25;
const FURTHER_ITERATIONS = 10;
const CHOICE_ITERATIONS = 6;
/** Squared error, in units of the median, at which a pixel's weight is a quarter. */
const OUTLIER = 4;
/** The smallest squared error that counts as noise: about 3 levels of 8 bits. */
const LEAST_NOISE = 1e-4;
/** Regularisation of the affine map towards the identity, for pictures with too few colours to determine it. */
const PRIOR = 1e-5;

interface FittedMap {
  readonly grid: BilateralGrid;
  /** `source` after the map, `[pixels, 3]`. */
  readonly mapped: Float32Array;
}

/**
 * Fits the map from `source` to `target`, pictures of equal size.
 * @param noise mean squared error of the image tokenizer; a grid must explain more than this beyond the affine map
 */
export function fitColourMap(source: Image, target: Image, noise: number): FittedMap {
  const { affine, mapped } = fitAffine(source, target);
  const slices = slicesOf(source, GRID);
  const rest = target.data.map((value, i) => value - mapped[i]!);
  const smoothness = chooseSmoothness(slices, source, rest, noise);
  if (smoothness === undefined) return { grid: { ...POINT, coefficients: affine }, mapped };
  let coefficients: Float64Array | undefined;
  let left = rest;
  for (let round = 0; round < ROUNDS; round++) {
    const weights = robustWeights(errorOf(left), source);
    const equations = normalEquations(slices, source.data, rest, weights);
    coefficients = solveGrid(
      equations,
      penaltiesOf(smoothness),
      round === 0 ? ITERATIONS : FURTHER_ITERATIONS,
      coefficients,
    );
    const explained = mapColours(slices, source.data, coefficients);
    left = rest.map((value, i) => value - explained[i]!);
  }
  return {
    grid: { ...GRID, coefficients: coefficients!.map((value, i) => value + affine[i % COEFFICIENTS]!) },
    mapped: target.data.map((value, i) => value - left[i]!),
  };
}

/** The least-squares affine map from `source` to `target` for the whole picture. */
export function fitAffineMap(source: Image, target: Image): FittedMap {
  const everywhere = new Float32Array(source.width * source.height).fill(1);
  const { affine, mapped } = affineOf(source, target, everywhere);
  return { grid: { ...POINT, coefficients: affine }, mapped };
}

/** Mean squared error per pixel of that map. */
export function affineError(source: Image, target: Image): number {
  const { mapped } = fitAffineMap(source, target);
  return mean(errorOf(target.data.map((value, i) => value - mapped[i]!)));
}

/** Mean of a pixel's squared differences over the channels: `[pixels]`. */
export function errorOf(difference: Float32Array): Float32Array {
  const error = new Float32Array(difference.length / 3);
  for (let i = 0; i < difference.length; i++) error[Math.floor(i / 3)]! += difference[i]! ** 2 / 3;
  return error;
}

/** The median, but at least the noise level. */
export function noiseOf(error: Float32Array): number {
  return Math.max(error.slice().sort()[error.length >> 1]!, LEAST_NOISE);
}

interface Affine {
  readonly affine: Float64Array;
  readonly mapped: Float32Array;
}

/**
 * The robust affine map. It is fitted from two initial weightings: uniform, and higher on unchanged pixels, because a
 * removed part biases the uniform fit. Returns the fit that explains more pixels.
 */
function fitAffine(source: Image, target: Image): Affine {
  const error = (mapped: Float32Array) => errorOf(target.data.map((value, i) => value - mapped[i]!));
  const unchanged = error(source.data);
  const fits = [unchanged.map(() => 1), robustWeights(unchanged, source)].map((weights) => {
    let fit = affineOf(source, target, weights);
    for (let round = 0; round < ROUNDS; round++)
      fit = affineOf(source, target, robustWeights(error(fit.mapped), source));
    return fit;
  }) as [Affine, Affine];
  const [first, second] = fits.map(({ mapped }) => error(mapped)) as [Float32Array, Float32Array];
  const scale = OUTLIER * Math.min(noiseOf(first), noiseOf(second));
  return saturated(second, scale) < saturated(first, scale) ? fits[1] : fits[0];
}

/** A sum of errors that saturates for errors far above `scale`. */
const saturated = (errors: Float32Array, scale: number): number =>
  errors.reduce((sum, e) => sum + e / (e + scale), 0);

/** The weighted least-squares affine map: `[3, 4]`, for the features of a bilateral grid. */
function affineOf(source: Image, target: Image, weights: Float32Array): Affine {
  const matrix = new Float64Array(16);
  const right = new Float64Array(COEFFICIENTS);
  const features = new Float64Array(4).fill(0.5);
  let total = 0;
  for (let p = 0, at = 0; p < weights.length; p++, at += 3) {
    const weight = weights[p]!;
    total += weight;
    for (let c = 0; c < 3; c++) features[c] = source.data[at + c]! - 0.5;
    for (let i = 0; i < 4; i++) {
      const f = weight * features[i]!;
      for (let j = 0; j < 4; j++) matrix[i * 4 + j]! += f * features[j]!;
      for (let c = 0; c < 3; c++) right[c * 4 + i]! += f * (target.data[at + c]! - source.data[at + c]!);
    }
  }
  for (let i = 0; i < 16; i += 5) matrix[i]! += PRIOR * total;
  const solver = inverse(matrix);
  const affine = new Float64Array(COEFFICIENTS);
  for (let i = 0; i < COEFFICIENTS; i++) {
    const row = i - (i % 4);
    affine[i] = i % 4 === 3 || i % 4 === Math.floor(i / 4) ? 1 : 0; // the identity
    for (let j = 0; j < 4; j++) affine[i]! += solver[(i % 4) * 4 + j]! * right[row + j]!;
  }
  return { affine, mapped: mapAffine(source.data, affine) };
}

function mapAffine(source: Float32Array, affine: Float64Array): Float32Array {
  const out = new Float32Array(source.length);
  for (let at = 0; at < out.length; at += 3) {
    const r = source[at]! - 0.5;
    const g = source[at + 1]! - 0.5;
    const b = source[at + 2]! - 0.5;
    for (let c = 0, i = 0; c < 3; c++, i += 4)
      out[at + c] = affine[i]! * r + affine[i + 1]! * g + affine[i + 2]! * b + affine[i + 3]! * 0.5;
  }
  return out;
}

/** Geman–McClure weights of blurred errors: (1 + e / (c · median))⁻². */
export function robustWeights(error: Float32Array, size: Image): Float32Array {
  const smooth = blurMap(error, size, 1);
  const scale = OUTLIER * noiseOf(smooth);
  return smooth.map((value) => (1 + value / scale) ** -2);
}

const penaltiesOf = (smoothness: number): GridPenalties => ({
  smooth: smoothness,
  smoothLevels: 0.3 * smoothness,
  ridge: 0.003 * smoothness,
});

/**
 * The smoothness of the grid that best predicts held-out blocks of a checkerboard; among nearly equal ones the
 * smoothest. Undefined if no grid is clearly better than the affine map, whose residual is `rest`.
 */
function chooseSmoothness(
  slices: Slices,
  source: Image,
  rest: Float32Array,
  noise: number,
): number | undefined {
  const { width, height } = source;
  const error = errorOf(rest);
  const scale = OUTLIER * noiseOf(error);
  const lossOf = (errors: Float32Array) => saturated(errors, scale);
  const block = (at: number, edge: number) => Math.floor(at / Math.max(1, edge * HELD_OUT));
  const fold = error.map((_, p) => (block(p % width, width) + block(Math.floor(p / width), height)) & 1);
  const folds = [0, 1].map((held) =>
    normalEquations(
      slices,
      source.data,
      rest,
      error.map((e, p) => (fold[p] === held ? 0 : 1 / (1 + e / scale))),
    ),
  );
  const coefficients: (Float64Array | undefined)[] = [undefined, undefined];
  let best: number | undefined;
  const affine = lossOf(error);
  const enough = Math.min(affine * (1 - LEAST_GAIN), affine - (LEAST_FALL * noise * error.length) / scale);
  let loss = enough / (1 - LEAST_FURTHER_GAIN);
  const predicted = new Float32Array(rest.length);
  let before = Number.POSITIVE_INFINITY;
  for (const smoothness of SMOOTHNESS) {
    for (const [held, equations] of folds.entries())
      coefficients[held] = solveGrid(
        equations,
        penaltiesOf(smoothness),
        CHOICE_ITERATIONS,
        coefficients[held],
      );
    for (const [p, held] of fold.entries()) mapPixel(slices, source.data, coefficients[held]!, p, predicted);
    const tried = lossOf(errorOf(rest.map((value, i) => value - predicted[i]!)));
    if (tried > before) break; // less smooth grids are worse still
    before = tried;
    if (tried >= loss * (1 - LEAST_FURTHER_GAIN)) continue;
    best = smoothness;
    loss = tried;
  }
  return best;
}

/** The mean of some values. */
export const mean = (values: Float32Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
