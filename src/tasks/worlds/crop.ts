/** @file Square crops of photographs, scaled down to the size of tasks. */
import { createImage, type Image } from "../../image/image.ts";
import { clamp } from "../../numbers.ts";
import type { Random } from "../../random.ts";
import type { Bytes } from "../gathered/index.ts";

/** A square crop in whole pixels. */
export interface Square {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** The smallest crop of a photograph, in its pixels. */
const smallestSide = 64;

/** A random square, from a detail to the whole shorter side; large ones are more likely. */
export function drawSquare(random: Random, { width, height }: Bytes): Square {
  const longest = Math.min(width, height);
  const shortest = Math.min(smallestSide, longest);
  const side = Math.round(shortest * (longest / shortest) ** Math.sqrt(random.uniform()));
  return { left: random.integer(0, width - side), top: random.integer(0, height - side), side };
}

/** First source pixel and weights of every target pixel, in rows of `reach` weights. */
interface Taps {
  readonly reach: number;
  readonly first: Int32Array;
  readonly weights: Float32Array;
}

/** Cache of taps: one for each side of a crop, at most as many as a photograph has pixels along its shorter side. */
const tapsKept = new Map<number, Taps>();

function tapsOf(side: number, size: number): Taps {
  const key = side * 65536 + size;
  const known = tapsKept.get(key);
  if (known) return known;
  const step = side / size;
  const reach = Math.ceil(step) + 1;
  const taps = { reach, first: new Int32Array(size), weights: new Float32Array(size * reach) };
  for (let i = 0; i < size; i++) {
    // Downscaling averages areas; upscaling interpolates between the two nearest pixels.
    const [begin, end] =
      step >= 1 ? [i * step, (i + 1) * step] : [(i + 0.5) * step - 0.5, (i + 0.5) * step + 0.5];
    taps.first[i] = clamp(Math.floor(begin), 0, Math.max(side - reach, 0));
    for (let pixel = Math.floor(begin); pixel < end; pixel++) {
      const weight = Math.min(end, pixel + 1) - Math.max(begin, pixel);
      const inside = clamp(pixel, 0, side - 1);
      taps.weights[i * reach + clamp(inside - taps.first[i]!, 0, reach - 1)]! += weight / (end - begin);
    }
  }
  tapsKept.set(key, taps);
  return taps;
}

/** Rows of a crop after horizontal scaling. Reused between calls, because it is the largest array of a sample. */
let across = new Float32Array(0);

/** The crop as a picture of `size` × `size` pixels, mirrored left to right if `mirrored`. */
export function cropSquare(photo: Bytes, { left, top, side }: Square, size: number, mirrored = false): Image {
  const { width, channels, data } = photo;
  const { reach, first, weights } = tapsOf(side, size);
  const most = Math.min(reach, side);
  if (across.length < side * size * 3) across = new Float32Array(side * size * 3);
  for (let y = 0; y < side; y++) {
    const row = (top + y) * width + left;
    for (let x = 0, to = y * size * 3; x < size; x++, to += 3) {
      let [r, g, b] = [0, 0, 0];
      for (let k = 0, from = (row + first[x]!) * channels; k < most; k++, from += channels) {
        const weight = weights[x * reach + k]!;
        r += weight * data[from]!;
        g += weight * data[from + 1]!;
        b += weight * data[from + 2]!;
      }
      across[to] = r;
      across[to + 1] = g;
      across[to + 2] = b;
    }
  }
  const out = createImage(size, size);
  const rowLength = size * 3;
  for (let y = 0; y < size; y++)
    for (let k = 0; k < most; k++) {
      const weight = weights[y * reach + k]! / 255;
      if (weight === 0) continue;
      const from = (first[y]! + k) * rowLength;
      const to = y * rowLength;
      for (let i = 0; i < rowLength; i++) out.data[to + i]! += weight * across[from + i]!;
    }
  for (let i = 0; i < out.data.length; i++) if (out.data[i]! > 1) out.data[i] = 1;
  if (mirrored) mirror(out);
  return out;
}

function mirror({ width, height, data }: Image): void {
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width >> 1; x++)
      for (let c = 0; c < 3; c++) {
        const [a, b] = [(y * width + x) * 3 + c, (y * width + width - 1 - x) * 3 + c];
        [data[a], data[b]] = [data[b]!, data[a]!];
      }
}
