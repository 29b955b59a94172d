/** @file Cropping and resampling pictures. */
import { UsageError } from "../errors.ts";
import { clamp } from "../numbers.ts";
import { checkEdges, createImage, type Image, toBytes } from "./image.ts";

/**
 * Resampling filter. Pixels are squares; a pixel's centre is at its index + ½.
 * - `nearest`: the pixel under the centre of the new one;
 * - `bilinear`: between the four pixels around that centre, without smoothing (as in PyTorch's `interpolate`);
 * - `area`: the mean of the area that the new pixel covers; for scaling down;
 * - a kernel of the Python Imaging Library.
 */
export type Filter = (typeof plainFilters)[number] | Kernel;
const plainFilters = ["nearest", "bilinear", "area"] as const;

/**
 * The Python Imaging Library's filters (Pillow, `Resample.c`). The kernel is widened for scaling down. Values have 8
 * bits before, between and after the two passes, weights have 22 bits: results equal Pillow's.
 */
type Kernel = "lanczos" | "bicubic" | "triangle" | "box" | "hamming";

/** A part of a picture in pixels. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The picture at another size; the aspect ratio may change.
 * @param window the part of the result to compute. Defaults to all of it
 * @throws UsageError for a width or height that is not a whole number from 1, an unknown filter, or a window that leaves
 * the result
 */
export function resize(
  image: Image,
  width: number,
  height: number,
  filter: Filter,
  window: Window = { left: 0, top: 0, width, height },
): Image {
  checkEdges("resize", width, height);
  checkEdges("resize: window", window.width, window.height);
  if (![...plainFilters, ...Object.keys(kernels)].includes(filter))
    throw new UsageError(`resize: filter: expected a known filter, got ${JSON.stringify(filter)}`);
  const { left, top } = window;
  if (!(left >= 0 && top >= 0 && left + window.width <= width && top + window.height <= height))
    throw new UsageError(
      `resize: window: expected a part of ${width} × ${height} pixels, got ${window.width} × ${window.height} from ${left}, ${top}`,
    );
  const columns = taps(image.width, width, filter, window.left, window.width);
  const { rows, ...strip } = stripOf(image, taps(image.height, height, filter, window.top, window.height));
  const size = { width: window.width, height: window.height };
  if (!(filter in kernels)) {
    const across = resample(strip.data, strip.height, strip.width, 3, columns);
    return { ...size, data: resample(across, 1, strip.height, window.width * 3, rows) };
  }
  const bytes = toBytes(strip);
  // Pillow 13 scales vertically first if the height shrinks by more than twice as many pixels as the width.
  const isDownFirst = height < image.height && image.height - height > 2 * (image.width - width);
  const levels = isDownFirst
    ? resample(
        resample(bytes, 1, strip.height, strip.width * 3, rows, toLevel),
        rows.length,
        strip.width,
        3,
        columns,
        toLevel,
      )
    : resample(
        resample(bytes, strip.height, strip.width, 3, columns, toLevel),
        1,
        strip.height,
        columns.length * 3,
        rows,
        toLevel,
      );
  return { ...size, data: levels.map((level) => level / 255) };
}

/** The part of a picture between the first and the last row that `taps` use, and the taps within it. */
function stripOf({ width, data }: Image, taps: Taps): Image & { readonly rows: Taps } {
  const top = taps[0]!.first;
  const last = taps.at(-1)!;
  const bottom = last.first + last.weights.length;
  return {
    width,
    height: bottom - top,
    data: data.subarray(top * width * 3, bottom * width * 3),
    rows: taps.map(({ first, weights }) => ({ first: first - top, weights })),
  };
}

/** Rounds to one of 256 levels. */
const toLevel = (value: number): number => Math.min(255, Math.max(0, Math.floor(value + 0.5)));

/**
 * A crop of the picture, in pixels.
 * @throws UsageError when the crop is not of whole pixels inside the picture.
 */
export function crop(image: Image, left: number, top: number, width: number, height: number): Image {
  checkEdges("crop", width, height);
  const isWhole = Number.isInteger(left) && Number.isInteger(top);
  if (!isWhole || left < 0 || top < 0 || left + width > image.width || top + height > image.height) {
    throw new UsageError(
      `crop: expected a part of ${image.width} × ${image.height}, got ${width} × ${height} at (${left}, ${top})`,
    );
  }
  const part = createImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    part.data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return part;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** A kernel's support in pixels, and its weight at a distance from the centre. */
interface KernelShape {
  readonly reach: number;
  readonly weight: (x: number) => number;
}

/** Keys' cubic convolution with a = −½. */
export function catmullRom(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

const kernels: Record<Kernel, KernelShape> & Partial<Record<Filter, KernelShape>> = {
  lanczos: { reach: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  bicubic: { reach: 2, weight: catmullRom },
  triangle: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  box: { reach: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  hamming: {
    reach: 1,
    weight: (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0),
  },
};

/** For each new position, the first old position it uses, and the weights from there on. */
type Taps = readonly { readonly first: number; readonly weights: readonly number[] }[];

/** The taps of `count` new positions from number `start`, for scaling `from` old positions to `to`. */
function taps(from: number, to: number, filter: Filter, start: number, count: number): Taps {
  const step = from / to;
  const kernel = kernels[filter];
  return Array.from({ length: count }, (_, k) => {
    const i = start + k;
    const centre = (i + 0.5) * step;
    if (kernel) return kernelTaps(centre, step, from, kernel);
    if (filter === "nearest") return { first: Math.floor(centre), weights: [1] };
    if (filter === "bilinear") {
      const at = clamp(centre - 0.5, 0, from - 1);
      const first = Math.floor(at);
      return { first, weights: at === first ? [1] : [1 - (at - first), at - first] };
    }
    const [begin, end] = [i * step, (i + 1) * step];
    const first = Math.floor(begin);
    const covered = Math.min(Math.ceil(end), from) - first;
    const weights = Array.from(
      { length: covered },
      (_, k) => (Math.min(end, first + k + 1) - Math.max(begin, first + k)) / step,
    );
    return { first, weights };
  });
}

/** Weights with sum 1 within the picture, as multiples of 2⁻²². */
function kernelTaps(centre: number, step: number, from: number, { reach, weight }: KernelShape) {
  const scale = Math.max(step, 1);
  const first = Math.max(0, Math.trunc(centre - reach * scale + 0.5));
  const end = Math.min(from, Math.trunc(centre + reach * scale + 0.5));
  const raw = Array.from({ length: end - first }, (_, k) => weight((first + k - centre + 0.5) * (1 / scale)));
  const total = raw.reduce((sum, each) => sum + each, 0);
  const weights = raw.map((each) => {
    const fixed = (each / total) * 2 ** 22;
    return Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5)) / 2 ** 22;
  });
  return { first, weights };
}

/** data [outer, from, inner] → [outer, number of taps, inner]; `finish` is applied to every value. */
function resample(
  data: Float32Array | Uint8Array,
  outer: number,
  from: number,
  inner: number,
  taps: Taps,
  finish?: (value: number) => number,
): Float32Array {
  const result = new Float32Array(outer * taps.length * inner);
  const sums = new Float64Array(inner);
  for (let o = 0; o < outer; o++) {
    for (let t = 0; t < taps.length; t++) {
      const { first, weights } = taps[t]!;
      sums.fill(0);
      for (let k = 0; k < weights.length; k++) {
        const weight = weights[k]!;
        const source = (o * from + first + k) * inner;
        for (let i = 0; i < inner; i++) sums[i]! += weight * data[source + i]!;
      }
      const target = (o * taps.length + t) * inner;
      for (let i = 0; i < inner; i++) result[target + i] = finish ? finish(sums[i]!) : sums[i]!;
    }
  }
  return result;
}
