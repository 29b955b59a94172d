/**
 * @file A bilateral grid of affine colour transforms (Chen et al., "Bilateral Guided Upsampling", 2016): a colour map
 * that varies smoothly with the place in the picture and with the luma of the colour.
 *
 * The map of a pixel p is a mixture of the eight vertices v around (x, y, luma), with trilinear weights aᵥ:
 *
 *   M(p) = Σᵥ aᵥ θᵥ f,   f = (r − ½, g − ½, b − ½, ½),   θᵥ [3, 4].
 *
 * The fit is regularised least squares, solved by conjugate gradients:
 *
 *   min Σₚ wₚ |M(p) − yₚ|² + λ Σ |θᵥ − θᵤ|² over neighbours + ε Σᵥ |θᵥ|².
 */
import { clamp, dot } from "../numbers.ts";
import { luma } from "./filters.ts";
import type { Image } from "./image.ts";

/** Vertices along each axis. */
export interface GridShape {
  readonly across: number;
  readonly down: number;
  readonly levels: number;
}

/** A fitted grid: `coefficients` is θ, `[down, across, levels, 3, 4]`. */
export interface BilateralGrid extends GridShape {
  readonly coefficients: Float64Array;
}

export interface GridPenalties {
  /** λ between neighbours in the plane, in units of the weight of a column of the grid. */
  readonly smooth: number;
  /** λ between neighbouring levels of luma, in the same units. */
  readonly smoothLevels: number;
  /** ε, in the same units. */
  readonly ridge: number;
}

/** Coefficients of a vertex. */
export const COEFFICIENTS = 12;
/** Entries of one 4 × 4 block of feature products. */
const BLOCK = 16;
/** A vertex and its neighbours, diagonal ones included. */
const NEIGHBOURS = 27;
const TOLERANCE = 1e-9;

/** Vertices and weights of the mixture of each pixel of a picture. */
export interface Slices {
  readonly shape: GridShape;
  /** `[pixels, 8]` */
  readonly vertices: Int32Array;
  /** `[pixels, 8]` */
  readonly weights: Float32Array;
}

/** The position of each pixel of `guide` in a grid. */
export function slicesOf({ width, height, data }: Image, shape: GridShape): Slices {
  const { across, down, levels } = shape;
  const vertices = new Int32Array(width * height * 8);
  const weights = new Float32Array(width * height * 8);
  for (let y = 0, p = 0; y < height; y++)
    for (let x = 0; x < width; x++, p++) {
      const u = gridPosition((x + 0.5) / width, across);
      const v = gridPosition((y + 0.5) / height, down);
      const t = gridPosition(luma(data[p * 3]!, data[p * 3 + 1]!, data[p * 3 + 2]!), levels);
      for (let k = 0; k < 8; k++) {
        const [i, j, h] = [k & 1, (k >> 1) & 1, k >> 2];
        const [column, row] = [Math.min(u.cell + i, across - 1), Math.min(v.cell + j, down - 1)];
        vertices[p * 8 + k] = (row * across + column) * levels + Math.min(t.cell + h, levels - 1);
        weights[p * 8 + k] =
          (i ? u.fraction : 1 - u.fraction) *
          (j ? v.fraction : 1 - v.fraction) *
          (h ? t.fraction : 1 - t.fraction);
      }
    }
  return { shape, vertices, weights };
}

/** The cell of a coordinate from 0 to 1 along an axis of `count` vertices, and the position within the cell. */
export function gridPosition(at: number, count: number): { cell: number; fraction: number } {
  const position = clamp(at) * (count - 1);
  const cell = Math.max(0, Math.min(Math.floor(position), count - 2));
  return { cell, fraction: position - cell };
}

/** The normal equations of the data term. The matrix is the same for the three channels. */
interface NormalEquations {
  readonly shape: GridShape;
  /** Mean weight of the pixels of one column of the grid. */
  readonly unit: number;
  /** Σₚ wₚ aᵥ aᵤ f fᵀ for each vertex v and its neighbours u, `[vertices, 27, 4, 4]`. */
  readonly blocks: Float64Array;
  /** Σₚ wₚ aᵥ y fᵀ, `[vertices, 3, 4]`. */
  readonly right: Float64Array;
}

/**
 * @param source the colours to map, `[pixels, 3]`
 * @param target the target colours, `[pixels, 3]`
 * @param pixelWeights `[pixels]`
 */
export function normalEquations(
  { shape, vertices, weights }: Slices,
  source: Float32Array,
  target: Float32Array,
  pixelWeights: Float32Array,
): NormalEquations {
  const { across, down, levels } = shape;
  const count = across * down * levels;
  const blocks = new Float64Array(count * NEIGHBOURS * BLOCK);
  const right = new Float64Array(count * COEFFICIENTS);
  let total = 0;
  for (let p = 0; p < pixelWeights.length; p++) {
    const weight = pixelWeights[p]!;
    if (weight === 0) continue;
    total += weight;
    const [f0, f1, f2] = [source[p * 3]! - 0.5, source[p * 3 + 1]! - 0.5, source[p * 3 + 2]! - 0.5];
    const [f00, f10, f20, f30] = [f0 * f0, f1 * f0, f2 * f0, 0.5 * f0];
    const [f11, f21, f31] = [f1 * f1, f2 * f1, 0.5 * f1];
    const [f22, f32] = [f2 * f2, 0.5 * f2];
    const first = p * 8;
    for (let k = 0; k < 8; k++) {
      const a = weight * weights[first + k]!;
      if (a === 0) continue;
      const vertex = vertices[first + k]!;
      let r = vertex * COEFFICIENTS;
      for (let c = p * 3; c < p * 3 + 3; c++, r += 4) {
        const value = a * target[c]!;
        right[r]! += value * f0;
        right[r + 1]! += value * f1;
        right[r + 2]! += value * f2;
        right[r + 3]! += value * 0.5;
      }
      // The matrix is symmetric: each pair of vertices once, and of its block the lower triangle.
      for (let m = k; m < 8; m++) {
        const b = a * weights[first + m]!;
        if (b === 0) continue;
        const at = (vertex * NEIGHBOURS + DIRECTIONS[k * 8 + m]!) * BLOCK;
        blocks[at]! += b * f00;
        blocks[at + 4]! += b * f10;
        blocks[at + 5]! += b * f11;
        blocks[at + 8]! += b * f20;
        blocks[at + 9]! += b * f21;
        blocks[at + 10]! += b * f22;
        blocks[at + 12]! += b * f30;
        blocks[at + 13]! += b * f31;
        blocks[at + 14]! += b * f32;
        blocks[at + 15]! += b * 0.25;
      }
    }
  }
  mirror(blocks, shape);
  return { shape, unit: total / (across * down), blocks, right };
}

/** Index of the neighbour that corner m of a cell is of corner k, `[8, 8]`. */
const DIRECTIONS = Int32Array.from({ length: 64 }, (_, i) => {
  const [k, m] = [i >> 3, i & 7];
  return (m >> 2) - (k >> 2) + 1 + ((m & 1) - (k & 1) + 1) * 3 + (((m >> 1) & 1) - ((k >> 1) & 1) + 1) * 9;
});

/** Completes blocks of which only lower triangles are there, and only one of both orders of a pair of vertices. */
function mirror(blocks: Float64Array, { across, down, levels }: GridShape): void {
  for (let at = 0; at < blocks.length; at += BLOCK)
    for (let i = 1; i < 4; i++) for (let j = 0; j < i; j++) blocks[at + j * 4 + i] = blocks[at + i * 4 + j]!;
  for (let vertex = 0; vertex < across * down * levels; vertex++)
    for (let n = 0; n < NEIGHBOURS; n++) {
      const from = (vertex * NEIGHBOURS + n) * BLOCK;
      if (n === NEIGHBOURS >> 1 || blocks[from + BLOCK - 1] === 0) continue;
      const other =
        vertex + ((Math.floor(n / 9) - 1) * across + (Math.floor(n / 3) % 3) - 1) * levels + (n % 3) - 1;
      blocks.copyWithin((other * NEIGHBOURS + NEIGHBOURS - 1 - n) * BLOCK, from, from + BLOCK);
    }
}

/**
 * Solves the normal equations with the penalties added, by conjugate gradients. The preconditioner is the inverse of
 * the matrix within each vertex.
 * @param iterations the most of them
 * @param start initial coefficients. Defaults to zeros
 */
export function solveGrid(
  equations: NormalEquations,
  penalties: GridPenalties,
  iterations: number,
  start?: Float64Array,
): Float64Array {
  const { right } = equations;
  const inverses = inverseBlocks(equations, penalties);
  const couplings = couplingsOf(equations, penalties);
  const solution = start?.slice() ?? new Float64Array(right.length);
  const product = new Float64Array(right.length);
  multiply(couplings, solution, product);
  const residual = right.map((value, i) => value - product[i]!);
  const scaled = new Float64Array(right.length);
  multiplyBlocks(inverses, right, scaled);
  const enough = TOLERANCE * dot(right, scaled);
  multiplyBlocks(inverses, residual, scaled);
  const direction = scaled.slice();
  let energy = dot(residual, scaled);
  for (let step = 0; step < iterations && energy > enough; step++) {
    multiply(couplings, direction, product);
    const length = energy / dot(direction, product);
    for (let i = 0; i < right.length; i++) {
      solution[i]! += length * direction[i]!;
      residual[i]! -= length * product[i]!;
    }
    multiplyBlocks(inverses, residual, scaled);
    const next = dot(residual, scaled);
    for (let i = 0; i < right.length; i++) direction[i] = scaled[i]! + (next / energy) * direction[i]!;
    energy = next;
  }
  return solution;
}

/** The inverse of the matrix within each vertex, `[vertices, 4, 4]`; the same for the three channels. */
function inverseBlocks({ shape, unit, blocks }: NormalEquations, penalties: GridPenalties): Float64Array {
  const added = unit * (penalties.ridge + 4 * penalties.smooth + 2 * penalties.smoothLevels);
  const inverses = new Float64Array(shape.across * shape.down * shape.levels * BLOCK);
  for (let at = 0; at < inverses.length; at += BLOCK) {
    const own = at * NEIGHBOURS + (NEIGHBOURS >> 1) * BLOCK;
    const block = blocks.slice(own, own + BLOCK);
    for (let i = 0; i < BLOCK; i += 5) block[i]! += added;
    inverses.set(inverse(block), at);
  }
  return inverses;
}

/** The inverse of a positive definite matrix `[4, 4]`, by Gauss–Jordan elimination. The matrix is overwritten. */
export function inverse(matrix: Float64Array): Float64Array {
  const out = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  for (let i = 0; i < 4; i++) {
    const pivot = matrix[i * 5]!;
    for (let j = 0; j < 4; j++) {
      matrix[i * 4 + j]! /= pivot;
      out[i * 4 + j]! /= pivot;
    }
    for (let row = 0; row < 4; row++) {
      const factor = row === i ? 0 : matrix[row * 4 + i]!;
      if (factor === 0) continue;
      for (let j = 0; j < 4; j++) {
        matrix[row * 4 + j]! -= factor * matrix[i * 4 + j]!;
        out[row * 4 + j]! -= factor * out[i * 4 + j]!;
      }
    }
  }
  return out;
}

/** out = the blocks of each vertex times x. @param blocks `[vertices, 4, 4]` @param x `[vertices, 3, 4]` */
function multiplyBlocks(blocks: Float64Array, x: Float64Array, out: Float64Array): void {
  for (let i = 0; i < x.length; i += 4) {
    const block = Math.floor(i / COEFFICIENTS) * BLOCK;
    for (let j = 0, b = block; j < 4; j++, b += 4)
      out[i + j] =
        blocks[b]! * x[i]! +
        blocks[b + 1]! * x[i + 1]! +
        blocks[b + 2]! * x[i + 2]! +
        blocks[b + 3]! * x[i + 3]!;
  }
}

/** The matrix of the normal equations with the penalties, as a list of the pairs of vertices that it couples. */
interface Couplings {
  readonly ridge: number;
  /** First coefficient of the vertex, and of its neighbour. `[pairs]` */
  readonly at: Int32Array;
  readonly from: Int32Array;
  /** λ of the pair; 0 where it has none. `[pairs]` */
  readonly lambda: Float64Array;
  /** Index of the pair's block in `blocks`; −1 where no pixel has both vertices. `[pairs]` */
  readonly block: Int32Array;
  readonly blocks: Float64Array;
}

function couplingsOf({ shape, unit, blocks }: NormalEquations, penalties: GridPenalties): Couplings {
  const { across, down, levels } = shape;
  const [at, from, lambda, block]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let row = 0, vertex = 0; row < down; row++)
    for (let column = 0; column < across; column++)
      for (let level = 0; level < levels; level++, vertex++)
        for (let n = 0; n < NEIGHBOURS; n++) {
          const [dy, dx, dt] = [Math.floor(n / 9) - 1, (Math.floor(n / 3) % 3) - 1, (n % 3) - 1];
          if (!isWithin(row + dy, down) || !isWithin(column + dx, across) || !isWithin(level + dt, levels))
            continue;
          const isNext = Math.abs(dx) + Math.abs(dy) + Math.abs(dt) === 1;
          const index = (vertex * NEIGHBOURS + n) * BLOCK;
          const isShared = blocks[index + BLOCK - 1] !== 0;
          if (!isNext && !isShared) continue;
          at.push(vertex * COEFFICIENTS);
          from.push((vertex + (dy * across + dx) * levels + dt) * COEFFICIENTS);
          lambda.push(isNext ? unit * (dt === 0 ? penalties.smooth : penalties.smoothLevels) : 0);
          block.push(isShared ? index : -1);
        }
  return {
    ridge: unit * penalties.ridge,
    at: Int32Array.from(at),
    from: Int32Array.from(from),
    lambda: Float64Array.from(lambda),
    block: Int32Array.from(block),
    blocks,
  };
}

/** out = (data term + penalties) x. */
function multiply(
  { ridge, at, from, lambda, block, blocks: m }: Couplings,
  x: Float64Array,
  out: Float64Array,
) {
  for (let i = 0; i < x.length; i++) out[i] = ridge * x[i]!;
  for (let pair = 0; pair < at.length; pair++) {
    const to = at[pair]!;
    const other = from[pair]!;
    const weight = lambda[pair]!;
    const f = block[pair]!;
    if (weight !== 0)
      for (let i = 0; i < COEFFICIENTS; i++) out[to + i]! += weight * (x[to + i]! - x[other + i]!);
    if (f < 0) continue;
    for (let c = 0; c < COEFFICIENTS; c += 4) {
      const o = to + c;
      const x0 = x[other + c]!;
      const x1 = x[other + c + 1]!;
      const x2 = x[other + c + 2]!;
      const x3 = x[other + c + 3]!;
      out[o]! += m[f]! * x0 + m[f + 1]! * x1 + m[f + 2]! * x2 + m[f + 3]! * x3;
      out[o + 1]! += m[f + 4]! * x0 + m[f + 5]! * x1 + m[f + 6]! * x2 + m[f + 7]! * x3;
      out[o + 2]! += m[f + 8]! * x0 + m[f + 9]! * x1 + m[f + 10]! * x2 + m[f + 11]! * x3;
      out[o + 3]! += m[f + 12]! * x0 + m[f + 13]! * x1 + m[f + 14]! * x2 + m[f + 15]! * x3;
    }
  }
}

const isWithin = (at: number, count: number): boolean => at >= 0 && at < count;

/** Applies a grid to each pixel: `[pixels, 3]`. */
export function mapColours(slices: Slices, source: Float32Array, coefficients: Float64Array): Float32Array {
  const out = new Float32Array(source.length);
  for (let p = 0; p * 3 < out.length; p++) mapPixel(slices, source, coefficients, p, out);
  return out;
}

/** Applies a grid to pixel `p`. */
export function mapPixel(
  { vertices, weights }: Slices,
  source: Float32Array,
  coefficients: Float64Array,
  p: number,
  out: Float32Array,
): void {
  const i = p * 3;
  const r = source[i]! - 0.5;
  const g = source[i + 1]! - 0.5;
  const b = source[i + 2]! - 0.5;
  for (let c = 0; c < 3; c++) {
    let sum = 0;
    for (let k = p * 8; k < p * 8 + 8; k++) {
      const at = vertices[k]! * COEFFICIENTS + c * 4;
      const value = coefficients[at]! * r + coefficients[at + 1]! * g + coefficients[at + 2]! * b;
      sum += weights[k]! * (value + coefficients[at + 3]! * 0.5);
    }
    out[i + c] = sum;
  }
}
