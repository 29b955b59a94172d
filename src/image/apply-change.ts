/** @file Applies a change to a picture of any size, in strips of rows. */
import { clamp } from "../numbers.ts";
import { type BilateralGrid, COEFFICIENTS, gridPosition } from "./bilateral-grid.ts";
import { luma } from "./filters.ts";
import type { Change } from "./full-size.ts";
import type { ByteImage, Image } from "./image.ts";
import { RowSampler } from "./row-sampler.ts";

/** Rows per strip. */
const STRIP = 64;

/** The changed picture, at the size of `original`. */
export function applyChange(change: Change, original: ByteImage): ByteImage {
  const { width, height } = original;
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  for (const strip of changedStrips(change, original)) {
    data.set(strip, at);
    at += strip.length;
  }
  return { width, height, data };
}

/** The changed picture from top to bottom, in strips of rows: `[rows, width, 3]`, in 8 bits. */
export function* changedStrips(change: Change, original: ByteImage): Generator<Uint8Array> {
  const { width, height } = original;
  const row = rowChanger(change, original);
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    const strip = new Uint8ClampedArray(rows * width * 3);
    for (let y = 0; y < rows; y++) row(top + y, strip, y * width * 3);
    yield new Uint8Array(strip.buffer);
  }
}

/** Writes a changed row to `out` from index `to`. */
function rowChanger(change: Change, original: ByteImage) {
  const { flip, grid, detail, drawn, query } = change;
  const { width, height, data } = original;
  const isUnsure = change.confidence.some((value) => value < 1);
  const sampler = (image: Image, isNeeded: boolean) =>
    isNeeded ? new RowSampler(image, width, height) : undefined;
  const drawing = sampler(drawn, isUnsure);
  const trust = sampler({ ...query, data: change.confidence }, isUnsure);
  const coarse = sampler(query, detail < 1);
  const cells = new Int32Array(width);
  const fractions = new Float64Array(width);
  for (let x = 0; x < width; x++) {
    const { cell, fraction } = gridPosition((x + 0.5) / width, grid.across);
    cells[x] = cell;
    fractions[x] = fraction;
  }
  const mixed = new Float64Array(grid.across * grid.levels * COEFFICIENTS);
  const color = new Float64Array(3);
  return (y: number, out: Uint8ClampedArray, to: number): void => {
    mixRows(grid, (y + 0.5) / height, mixed);
    const fallback = drawing?.row(y);
    const confidence = trust?.row(y);
    const smooth = coarse?.row(y);
    const start = (flip.down ? height - 1 - y : y) * width;
    for (let x = 0; x < width; x++) {
      const from = (start + (flip.across ? width - 1 - x : x)) * 3;
      for (let c = 0; c < 3; c++) {
        const value = data[from + c]! / 255;
        color[c] = smooth ? smooth[x * 3 + c]! + detail * (value - smooth[x * 3 + c]!) : value;
      }
      mapColour(grid, mixed, cells[x]!, fractions[x]!, color);
      const w = confidence ? clamp(confidence[x]!) : 1;
      for (let c = 0; c < 3; c++)
        out[to + x * 3 + c] = 255 * (w === 1 ? color[c]! : w * color[c]! + (1 - w) * fallback![x * 3 + c]!);
    }
  };
}

/** The grid at a height from 0 to 1: `[across, levels, 3, 4]`. */
function mixRows({ across, down, levels, coefficients }: BilateralGrid, at: number, out: Float64Array): void {
  const { cell, fraction } = gridPosition(at, down);
  const stride = across * levels * COEFFICIENTS;
  const [above, below] = [cell * stride, Math.min(cell + 1, down - 1) * stride];
  for (let i = 0; i < stride; i++)
    out[i] = (1 - fraction) * coefficients[above + i]! + fraction * coefficients[below + i]!;
}

/** Maps one colour in place. `mixed` is the grid at the pixel's height; `cell` and `fraction` give its horizontal position. */
function mapColour(
  { across, levels }: BilateralGrid,
  mixed: Float64Array,
  cell: number,
  fraction: number,
  color: Float64Array,
): void {
  const r = color[0]!;
  const g = color[1]!;
  const b = color[2]!;
  const level = clamp(luma(r, g, b)) * (levels - 1);
  const lower = Math.max(0, Math.min(Math.floor(level), levels - 2));
  const share = level - lower;
  const step = levels > 1 ? COEFFICIENTS : 0;
  const left = (cell * levels + lower) * COEFFICIENTS;
  const right = (Math.min(cell + 1, across - 1) * levels + lower) * COEFFICIENTS;
  const w00 = (1 - fraction) * (1 - share);
  const w01 = (1 - fraction) * share;
  const w10 = fraction * (1 - share);
  const w11 = fraction * share;
  for (let c = 0; c < 3; c++) {
    let sum = 0;
    for (let j = 0; j < 4; j++) {
      const i = c * 4 + j;
      const theta =
        w00 * mixed[left + i]! +
        w01 * mixed[left + step + i]! +
        w10 * mixed[right + i]! +
        w11 * mixed[right + step + i]!;
      sum += theta * (j === 0 ? r - 0.5 : j === 1 ? g - 0.5 : j === 2 ? b - 0.5 : 0.5);
    }
    color[c] = sum;
  }
}
