/**
 * @file What example pairs tell about colours: the map from the colours of their inputs to those of their outputs. If it
 * explains the pairs everywhere, the change is this map, which can be applied to a picture of any size without loss. The
 * inputs may also be flipped first.
 *
 * A map is a mixture of affine maps θₖ, either by luma (as curves are) or by place (as a vignette is). It is the minimum
 * of a regularised sum of squares,
 *
 *   Σₚ |M(p) − yₚ|² + ε N Σₖ |θₖ − Iₖ|²,   M(p) = Σₖ aₖ(p) θₖ f(p),   f = (r − ½, g − ½, b − ½, ½)
 *
 * over the N pixels p of all pairs. The map by luma has another penalty for the difference of neighbouring levels. Of
 * each pair only sums over its pixels are kept. Those of several pairs add up.
 */
import { clamp } from "../numbers.ts";
import { type BilateralGrid, COEFFICIENTS, type GridShape, gridPosition } from "./bilateral-grid.ts";
import { blurMap, luma } from "./filters.ts";
import { type Flip, flipped, flips } from "./flip.ts";
import type { Image } from "./image.ts";
import { solve } from "./solve.ts";

/** A family of maps. */
interface Mixture {
  /** Number of affine maps. */
  readonly maps: number;
  /** Writes their weights aₖ for a pixel: its place in the picture, from 0 to 1, and its luma. */
  weigh(weights: Float64Array, x: number, y: number, luma: number): void;
  /** The identity as such a mixture: Iₖ is this number times the identity. */
  readonly identity: readonly number[];
  /**
   * Colours that the input of at least one pair must have. A map explains any change of few colours, such as a recoloured
   * part of an icon, and then tells nothing about other colours.
   */
  readonly leastColours: number;
  /** λ of the penalty for the difference of neighbours. */
  readonly smooth: number;
  /** The grid that the map is applied as. */
  readonly grid: GridShape;
}

const LEVELS = 6;
/** An affine map for each level of luma, interpolated between levels. */
const byLuma: Mixture = {
  maps: LEVELS,
  weigh(weights, _x, _y, luma) {
    weights.fill(0);
    const { cell, fraction } = gridPosition(luma, LEVELS);
    weights[cell] = 1 - fraction;
    weights[cell + 1] = fraction;
  },
  identity: Array<number>(LEVELS).fill(1),
  leastColours: 16,
  smooth: 1e-3,
  grid: { across: 1, down: 1, levels: LEVELS },
};
/** Affine maps times polynomials of the place, relative to the centre. */
const byPlace: Mixture = {
  maps: 8,
  weigh(weights, x, y) {
    const [u, v] = [2 * x - 1, 2 * y - 1];
    const r = u * u + v * v;
    weights.set([1, u, v, u * u, u * v, v * v, r * r, r * r * r]);
  },
  identity: [1, 0, 0, 0, 0, 0, 0, 0],
  leastColours: 64,
  smooth: 0,
  grid: { across: 17, down: 17, levels: 1 },
};
/** A map by place is only fitted where one by luma explains nothing. */
const mixtures = [byLuma, byPlace] as const;

const FEATURES = 4;
const RIDGE = 1e-7;
/** Root mean square error over a pair, and around its worst pixel, up to which a map explains it. */
const MOST_ERROR = 0.025;
const MOST_LOCAL_ERROR = 0.06;
/** Standard deviation, in pixels, over which local errors are averaged. */
const REACH = 1;
/** A colour is a cell of 16 × 16 × 16 that has some pixels away from edges, which are mixtures of two colours. */
const CELLS = 16;
const SOME_PIXELS = 3;
const EDGE = 0.08;

/** Products of an unknown: with all unknowns, and with three channels. */
const widthOf = ({ maps }: Mixture): number => maps * FEATURES + 3;

/** Numbers of a mixture in the sums: the products of each unknown, and one more. */
const numbersOf = (mixture: Mixture): number => mixture.maps * FEATURES * widthOf(mixture) + 1;

/** Numbers in the sums of a pair. */
export const COLOUR_SUMS = mixtures.reduce((sum, mixture) => sum + numbersOf(mixture), 3);
/** Where the numbers of each mixture are in the sums; the last of them is the largest local error. */
const parts = mixtures.map((mixture, i) => {
  const start = mixtures.slice(0, i).reduce((sum, each) => sum + numbersOf(each), 0);
  return { mixture, start, end: start + numbersOf(mixture) };
});
type Part = (typeof parts)[0];
const [lumaPart] = parts as [Part];
const [SQUARES, COLOURS, FLIP] = [COLOUR_SUMS - 3, COLOUR_SUMS - 2, COLOUR_SUMS - 1];

/**
 * Sums over the pixels of a pair, `[COLOUR_SUMS]`. For each mixture: for each feature its products with all features and
 * with the channels of the change, and the largest local squared error of the pair's own map. Then the sum of squares of
 * the change, the number of colours of the input, and the index of the flip of the input that all this is for.
 */
export type ColourSums = Float32Array<ArrayBuffer>;

/** Whether numbers from a file can be the sums of a pair: finite, and with the index of a flip. */
export const areColourSums = (sums: ColourSums): boolean =>
  sums.length === COLOUR_SUMS && sums.every(Number.isFinite) && flips[sums[FLIP]!] !== undefined;

type Rows = readonly (readonly number[])[];

/** A change of colours: the map, and how the picture is flipped first. */
export interface ColourChange {
  readonly grid: BilateralGrid;
  readonly flip: Flip;
}

/** The sums of a pair of pictures of equal size, for the first flip with which a map explains it, else for none. */
export function colourSums(input: Image, output: Image): ColourSums {
  const unflipped = sumsOfPair(input, output);
  if (parts.some((part) => explains(part, unflipped))) return unflipped;
  // By luma alone: a map by place explains smooth pictures in any direction.
  const sums = new Float32Array(COLOUR_SUMS);
  const index = flips.findIndex((flip, i) => {
    if (i === 0) return false;
    setPart(sums, lumaPart, flipped(input, flip), output);
    return explains(lumaPart, sums);
  });
  if (index < 0) return unflipped;
  const turned = sumsOfPair(flipped(input, flips[index]!), output);
  turned[FLIP] = index;
  return turned;
}

/** Whether the pair's own map explains it everywhere. */
const explains = ({ end }: Part, pair: ColourSums): boolean => pair[end - 1]! <= MOST_LOCAL_ERROR ** 2;

function sumsOfPair(input: Image, output: Image): ColourSums {
  const sums = new Float32Array(COLOUR_SUMS);
  for (const part of parts) setPart(sums, part, input, output);
  sums[SQUARES] = input.data.reduce((sum, value, i) => sum + (output.data[i]! - value) ** 2, 0);
  sums[COLOURS] = coloursIn(input);
  return sums;
}

/** Writes the numbers of a mixture. */
function setPart(sums: ColourSums, { mixture, start }: Part, input: Image, output: Image): void {
  const own = sumsOf(mixture, input, output);
  const errors = errorsOf(mixture, input, output, solved(mixture, own));
  own[own.length - 1] = blurMap(errors, input, REACH).reduce((most, error) => Math.max(most, error), 0);
  sums.set(own, start);
}

/** The change of colours of some pairs, if one explains all of them, and they have enough colours to tell. */
export function explainingChange(pairs: readonly ColourSums[]): ColourChange | undefined {
  const [first] = pairs;
  if (!first || pairs.some((pair) => pair[FLIP] !== first[FLIP])) return undefined;
  const total = new Float64Array(COLOUR_SUMS);
  for (const pair of pairs) for (const [i, value] of pair.entries()) total[i]! += value;
  for (const part of parts) {
    const { mixture, start, end } = part;
    if (!pairs.some((pair) => pair[COLOURS]! >= mixture.leastColours)) continue;
    if (!pairs.every((pair) => explains(part, pair))) continue;
    const sums = total.subarray(start, end);
    const change = solved(mixture, sums);
    if (meanError(mixture, sums, total[SQUARES]!, change) <= MOST_ERROR ** 2)
      return { grid: gridOf(mixture, change), flip: flips[first[FLIP]!]! };
  }
  return undefined;
}

function sumsOf(mixture: Mixture, input: Image, output: Image): Float64Array {
  const sums = new Float64Array(numbersOf(mixture));
  const [unknowns, width] = [mixture.maps * FEATURES, widthOf(mixture)];
  const { features, active, write } = featuresOf(mixture, input);
  for (let p = 0; p * 3 < input.data.length; p++) {
    const count = write(p);
    for (let a = 0; a < count; a++) {
      const i = active[a]!;
      const [row, f] = [i * width, features[i]!];
      for (let b = a; b < count; b++) sums[row + active[b]!]! += f * features[active[b]!]!;
      for (let c = 0; c < 3; c++)
        sums[row + unknowns + c]! += f * (output.data[p * 3 + c]! - input.data[p * 3 + c]!);
    }
  }
  // The products of two unknowns are the same both ways.
  for (let i = 0; i < unknowns; i++) for (let j = 0; j < i; j++) sums[i * width + j] = sums[j * width + i]!;
  return sums;
}

/**
 * The features aₖ f of one pixel at a time, `[maps, 4]`. `write` fills in those of a pixel, lists the indices of those that
 * are not 0 in `active`, and returns how many these are.
 */
function featuresOf({ maps, weigh }: Mixture, { width, height, data }: Image) {
  const features = new Float64Array(maps * FEATURES);
  const active = new Int32Array(maps * FEATURES);
  const shares = new Float64Array(maps);
  const write = (p: number): number => {
    const r = data[p * 3]!;
    const g = data[p * 3 + 1]!;
    const b = data[p * 3 + 2]!;
    weigh(shares, ((p % width) + 0.5) / width, (Math.floor(p / width) + 0.5) / height, luma(r, g, b));
    let count = 0;
    for (let k = 0; k < maps; k++) {
      const share = shares[k]!;
      if (share === 0) continue;
      const at = k * FEATURES;
      features[at] = share * (r - 0.5);
      features[at + 1] = share * (g - 0.5);
      features[at + 2] = share * (b - 0.5);
      features[at + 3] = share * 0.5;
      for (let i = at; i < at + FEATURES; i++) if (features[i] !== 0) active[count++] = i;
    }
    return count;
  };
  return { features, active, write };
}

/** The map's difference to the identity: `[maps · 4][3]`. */
function solved(mixture: Mixture, sums: Float64Array): Rows {
  const [unknowns, width] = [mixture.maps * FEATURES, widthOf(mixture)];
  const matrix = range(unknowns).map((i) => range(unknowns).map((j) => sums[i * width + j]!));
  const right = range(unknowns).map((i) => range(3).map((c) => sums[i * width + unknowns + c]!));
  const count = pixelsOf(mixture, sums);
  const smooth = mixture.smooth * count;
  for (const i of range(unknowns)) {
    matrix[i]![i]! += RIDGE * count;
    const next = i + FEATURES;
    if (smooth === 0 || next >= unknowns) continue;
    matrix[i]![i]! += smooth;
    matrix[next]![next]! += smooth;
    matrix[i]![next]! -= smooth;
    matrix[next]![i]! -= smooth;
  }
  return solve(matrix, right);
}

/** Number of pixels: the constant feature of the identity is ½ everywhere. */
function pixelsOf(mixture: Mixture, sums: Float64Array): number {
  const { maps, identity } = mixture;
  const width = widthOf(mixture);
  const constant = (k: number) => k * FEATURES + FEATURES - 1;
  let sum = 0;
  for (const k of range(maps))
    for (const l of range(maps))
      sum += identity[k]! * identity[l]! * sums[constant(k) * width + constant(l)]!;
  return 4 * sum;
}

/** Mean squared error over all pixels and channels. @param squares sum of squares of the change */
function meanError(mixture: Mixture, sums: Float64Array, squares: number, change: Rows): number {
  const [unknowns, width] = [mixture.maps * FEATURES, widthOf(mixture)];
  let error = squares;
  for (const i of range(unknowns))
    for (const c of range(3)) {
      const mapped = range(unknowns).reduce((sum, j) => sum + sums[i * width + j]! * change[j]![c]!, 0);
      error += change[i]![c]! * (mapped - 2 * sums[i * width + unknowns + c]!);
    }
  return Math.max(error, 0) / (3 * pixelsOf(mixture, sums));
}

/** Squared error of each pixel: `[pixels]`. */
function errorsOf(mixture: Mixture, input: Image, output: Image, change: Rows): Float32Array {
  const { features, active, write } = featuresOf(mixture, input);
  const errors = new Float32Array(input.data.length / 3);
  for (let p = 0; p < errors.length; p++) {
    const count = write(p);
    let error = 0;
    for (let c = 0; c < 3; c++) {
      let mapped = input.data[p * 3 + c]!;
      for (let a = 0; a < count; a++) mapped += features[active[a]!]! * change[active[a]!]![c]!;
      error += (output.data[p * 3 + c]! - clamp(mapped)) ** 2 / 3;
    }
    errors[p] = error;
  }
  return errors;
}

/** The map as a grid of affine maps. */
function gridOf({ grid, weigh, maps }: Mixture, change: Rows): BilateralGrid {
  const { across, down, levels } = grid;
  const coefficients = new Float64Array(across * down * levels * COEFFICIENTS);
  const shares = new Float64Array(maps);
  const at = (index: number, count: number) => (count === 1 ? 0.5 : index / (count - 1));
  for (const row of range(down))
    for (const column of range(across))
      for (const level of range(levels)) {
        weigh(shares, at(column, across), at(row, down), at(level, levels));
        const start = ((row * across + column) * levels + level) * COEFFICIENTS;
        for (const i of range(COEFFICIENTS)) {
          const [c, f] = [Math.floor(i / FEATURES), i % FEATURES];
          // The identity takes the constant ½ to every channel.
          const identity = f === c || f === FEATURES - 1 ? 1 : 0;
          coefficients[start + i] = range(maps).reduce(
            (sum, k) => sum + shares[k]! * change[k * FEATURES + f]![c]!,
            identity,
          );
        }
      }
  return { ...grid, coefficients };
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

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
