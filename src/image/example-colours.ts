/**
 * @file What example pairs tell about colours: the map from the colours of their inputs to those of their outputs, an
 * affine one for each level of luma. If it explains the pairs everywhere, the change is this map, which can be applied
 * to a picture of any size without loss.
 *
 * The map is the minimum of a regularised sum of squares,
 *
 *   Σₚ |M(p) − yₚ|² + λ N Σ |θₗ₊₁ − θₗ|² + ε N Σ |θₗ − I|²,   M(p) = Σₗ aₗ(p) θₗ f(p)
 *
 * over the N pixels of all pairs, with weights aₗ and features f as in a bilateral grid (`bilateral-grid.ts`) of one place.
 * Of each pair only sums over its pixels are kept. Those of several pairs add up.
 */
import { type BilateralGrid, COEFFICIENTS, type GridShape, gridPosition } from "./bilateral-grid.ts";
import { blurMap, luma } from "./filters.ts";
import type { Image } from "./image.ts";
import { solve } from "./solve.ts";

const SHAPE: GridShape = { across: 1, down: 1, levels: 6 };
/** Features of a level: r − ½, g − ½, b − ½ and ½. */
const FEATURES = 4;
const UNKNOWNS = SHAPE.levels * FEATURES;
/** Products with a feature: those of all features, and of the three channels of y − x. */
const COLUMNS = UNKNOWNS + 3;
const SMOOTH = 1e-3;
const RIDGE = 1e-7;
/** Root mean square error over a pair, and around its worst pixel, up to which the map explains it. */
const MOST_ERROR = 0.025;
const MOST_LOCAL_ERROR = 0.06;
/** Standard deviation, in pixels, over which local errors are averaged. */
const REACH = 1;

/**
 * Colours that the input of at least one pair must have. A map explains any change of few colours, such as a recoloured
 * part of an icon, and then tells nothing about other colours.
 */
const LEAST_COLOURS = 16;
/** A colour is a cell of 16 × 16 × 16 that has some pixels away from edges, which are mixtures of two colours. */
const CELLS = 16;
const SOME_PIXELS = 3;
const EDGE = 0.08;

/** Numbers in the sums of a pair. */
export const COLOUR_SUMS = UNKNOWNS * COLUMNS + 3;
/** Where the last three are: the sum of squares of the change, the largest local error, the number of colours. */
const [SQUARES, LOCAL, COLOURS] = [COLOUR_SUMS - 3, COLOUR_SUMS - 2, COLOUR_SUMS - 1];

/**
 * Sums over the pixels of a pair, `[COLOUR_SUMS]`: for each feature its products with all features and with the channels
 * of the change, `[24, 27]`; then the sum of squares of the change, the largest local squared error of the pair's own
 * map, and the number of colours of the input.
 */
export type ColourSums = Float32Array<ArrayBuffer>;

/** The sums of a pair of pictures of equal size. */
export function colourSums(input: Image, output: Image): ColourSums {
  const sums = new Float64Array(COLOUR_SUMS);
  const features = new Float64Array(2 * FEATURES);
  for (let at = 0; at < input.data.length; at += 3) {
    const first = featuresOf(input.data, at, features);
    for (let i = 0; i < features.length; i++) {
      const row = (first + i) * COLUMNS;
      for (let j = 0; j < features.length; j++) sums[row + first + j]! += features[i]! * features[j]!;
      for (let c = 0; c < 3; c++)
        sums[row + UNKNOWNS + c]! += features[i]! * (output.data[at + c]! - input.data[at + c]!);
    }
    for (let c = 0; c < 3; c++) sums[SQUARES]! += (output.data[at + c]! - input.data[at + c]!) ** 2;
  }
  const own = solved(sums);
  const errors = errorsOf(input, output, own);
  sums[LOCAL] = blurMap(errors, input, REACH).reduce((most, error) => Math.max(most, error), 0);
  sums[COLOURS] = coloursIn(input);
  return Float32Array.from(sums);
}

/** The colour map of some pairs, if it explains all of them, and they have enough colours to tell. */
export function explainingMap(pairs: readonly ColourSums[]): BilateralGrid | undefined {
  if (!pairs.some((pair) => pair[COLOURS]! >= LEAST_COLOURS)) return undefined;
  if (pairs.some((pair) => pair[LOCAL]! > MOST_LOCAL_ERROR ** 2)) return undefined;
  const sums = new Float64Array(COLOUR_SUMS);
  for (const pair of pairs) for (const [i, value] of pair.entries()) sums[i]! += value;
  const change = solved(sums);
  if (meanError(sums, change) > MOST_ERROR ** 2) return undefined;
  const coefficients = new Float64Array(SHAPE.levels * COEFFICIENTS);
  for (let i = 0; i < coefficients.length; i++) {
    const [level, c, f] = [
      Math.floor(i / COEFFICIENTS),
      Math.floor((i % COEFFICIENTS) / FEATURES),
      i % FEATURES,
    ];
    // The identity, which takes the constant ½ to every channel.
    coefficients[i] = change[level * FEATURES + f]![c]! + (f === c || f === FEATURES - 1 ? 1 : 0);
  }
  return { ...SHAPE, coefficients };
}

/** Writes the nonzero features of a pixel, those of two neighbouring levels. Returns the index of the first. */
function featuresOf(data: Float32Array, at: number, features: Float64Array): number {
  const [r, g, b] = [data[at]!, data[at + 1]!, data[at + 2]!];
  const { cell, fraction } = gridPosition(luma(r, g, b), SHAPE.levels);
  const values = [r - 0.5, g - 0.5, b - 0.5, 0.5];
  for (let i = 0; i < FEATURES; i++) {
    features[i] = (1 - fraction) * values[i]!;
    features[FEATURES + i] = fraction * values[i]!;
  }
  return cell * FEATURES;
}

/** The map's difference to the identity: `[24][3]`. */
function solved(sums: Float64Array): readonly (readonly number[])[] {
  const matrix = range(UNKNOWNS).map((i) => range(UNKNOWNS).map((j) => sums[i * COLUMNS + j]!));
  const right = range(UNKNOWNS).map((i) => range(3).map((c) => sums[i * COLUMNS + UNKNOWNS + c]!));
  const count = pixelsOf(sums);
  for (const i of range(UNKNOWNS)) {
    matrix[i]![i]! += RIDGE * count;
    const next = i + FEATURES;
    if (next >= UNKNOWNS) continue;
    matrix[i]![i]! += SMOOTH * count;
    matrix[next]![next]! += SMOOTH * count;
    matrix[i]![next]! -= SMOOTH * count;
    matrix[next]![i]! -= SMOOTH * count;
  }
  return solve(matrix, right);
}

/** Number of pixels. The constant features of a pixel sum to ½. */
function pixelsOf(sums: Float64Array): number {
  const constants = range(SHAPE.levels).map((level) => level * FEATURES + FEATURES - 1);
  return (
    4 * constants.reduce((sum, i) => sum + constants.reduce((row, j) => row + sums[i * COLUMNS + j]!, 0), 0)
  );
}

/** Mean squared error over all pixels and channels. */
function meanError(sums: Float64Array, change: readonly (readonly number[])[]): number {
  let error = sums[SQUARES]!;
  for (const i of range(UNKNOWNS))
    for (const c of range(3)) {
      const mapped = range(UNKNOWNS).reduce((sum, j) => sum + sums[i * COLUMNS + j]! * change[j]![c]!, 0);
      error += change[i]![c]! * (mapped - 2 * sums[i * COLUMNS + UNKNOWNS + c]!);
    }
  return Math.max(error, 0) / (3 * pixelsOf(sums));
}

/** Squared error of each pixel: `[pixels]`. */
function errorsOf(input: Image, output: Image, change: readonly (readonly number[])[]): Float32Array {
  const features = new Float64Array(2 * FEATURES);
  return Float32Array.from({ length: input.data.length / 3 }, (_, p) => {
    const first = featuresOf(input.data, p * 3, features);
    let error = 0;
    for (let c = 0; c < 3; c++) {
      let mapped = input.data[p * 3 + c]!;
      for (let i = 0; i < features.length; i++) mapped += features[i]! * change[first + i]![c]!;
      error += (output.data[p * 3 + c]! - clamped(mapped)) ** 2 / 3;
    }
    return error;
  });
}

/** Number of different colours of a picture. */
function coloursIn({ width, height, data }: Image): number {
  const pixels = new Map<number, number>();
  for (let y = 0; y < height - 1; y++)
    for (let x = 0; x < width - 1; x++) {
      const at = (y * width + x) * 3;
      let step = 0;
      let cell = 0;
      for (let c = at; c < at + 3; c++) {
        const value = data[c]!;
        step = Math.max(step, Math.abs(value - data[c + 3]!), Math.abs(value - data[c + 3 * width]!));
        cell = cell * CELLS + Math.min(CELLS - 1, Math.floor(value * CELLS));
      }
      if (step <= EDGE) pixels.set(cell, (pixels.get(cell) ?? 0) + 1);
    }
  return [...pixels.values()].filter((count) => count >= SOME_PIXELS).length;
}

const clamped = (value: number): number => Math.min(Math.max(value, 0), 1);

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
