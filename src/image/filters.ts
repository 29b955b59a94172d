/** @file Whole-picture operations: per pixel, resampling, blurring. Every function returns a new picture. */
import { clamp } from "../numbers.ts";
import { createImage, type Image } from "./image.ts";

/** Writes a pixel's new colour for its old one. */
export type PixelMap = (r: number, g: number, b: number, out: Float32Array, at: number) => void;

/** Applies `map` to every pixel, clamped to [0, 1]. `at` is the index to write red at; green and blue follow. */
export function mapPixels(image: Image, map: PixelMap): Image {
  const out = createImage(image.width, image.height);
  for (let i = 0; i < image.data.length; i += 3) {
    map(image.data[i]!, image.data[i + 1]!, image.data[i + 2]!, out.data, i);
    for (let c = i; c < i + 3; c++) out.data[c] = clamp(out.data[c]!);
  }
  return out;
}

/** Applies `map` to every value, clamped to [0, 1]. */
export function mapValues(image: Image, map: (value: number, index: number) => number): Image {
  return { ...image, data: image.data.map((value, index) => clamp(map(value, index))) };
}

/**
 * Builds a picture by copying pixels: for the pixel at (x, y), `source` writes the indices of a pixel of `image` to
 * `at`. Outside the picture the nearest edge pixel is taken.
 */
export function rearrange(image: Image, source: (x: number, y: number, at: Int32Array) => void): Image {
  const { width, height } = image;
  const out = createImage(width, height);
  const at = new Int32Array(2);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 3) {
      source(x, y, at);
      const sx = clamp(at[0]!, 0, width - 1);
      const sy = clamp(at[1]!, 0, height - 1);
      const j = (sy * width + sx) * 3;
      for (let c = 0; c < 3; c++) out.data[i + c] = image.data[j + c]!;
    }
  return out;
}

/**
 * Builds a picture (a square with edge `size`, or the size of `image`) by bilinear sampling: for the pixel (x, y),
 * `source` writes coordinates in `image`, in pixels, to `at`. Edges are extended.
 */
export function resample(
  image: Image,
  source: (x: number, y: number, at: Float64Array) => void,
  size?: number,
): Image {
  const { width, height, data } = image;
  const out = createImage(size ?? width, size ?? height);
  const at = new Float64Array(2);
  for (let y = 0, i = 0; y < out.height; y++)
    for (let x = 0; x < out.width; x++, i += 3) {
      source(x, y, at);
      const sx = clamp(at[0]!, 0, width - 1);
      const sy = clamp(at[1]!, 0, height - 1);
      const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
      const [x1, y1] = [Math.min(x0 + 1, width - 1), Math.min(y0 + 1, height - 1)];
      const [fx, fy] = [sx - x0, sy - y0];
      for (let c = 0; c < 3; c++) {
        const top = data[(y0 * width + x0) * 3 + c]! * (1 - fx) + data[(y0 * width + x1) * 3 + c]! * fx;
        const bottom = data[(y1 * width + x0) * 3 + c]! * (1 - fx) + data[(y1 * width + x1) * 3 + c]! * fx;
        out.data[i + c] = top * (1 - fy) + bottom * fy;
      }
    }
  return out;
}

/** The picture averaged along a line of the given length (pixels) and angle (radians, 0 is horizontal). */
export function motionBlur(image: Image, length: number, angle: number): Image {
  const steps = Math.max(2, Math.ceil(length));
  const sum = createImage(image.width, image.height);
  for (let step = 0; step < steps; step++) {
    const shift = (step / (steps - 1) - 0.5) * length;
    const [dx, dy] = [shift * Math.cos(angle), shift * Math.sin(angle)];
    const moved = resample(image, (x, y, at) => {
      at[0] = x + dx;
      at[1] = y + dy;
    });
    for (let i = 0; i < sum.data.length; i++) sum.data[i]! += moved.data[i]! / steps;
  }
  return sum;
}

/** Gaussian blur with the given standard deviation in pixels; edges extended. */
export const gaussianBlur = (image: Image, deviation: number): Image => ({
  ...image,
  data: blurred(image.data, image, 3, deviation),
});

/** The same of a map with one value per pixel. */
export const blurMap = (map: Float32Array, size: Size, deviation: number): Float32Array =>
  blurred(map, size, 1, deviation);

type Size = Pick<Image, "width" | "height">;

function blurred(data: Float32Array, { width, height }: Size, channels: number, deviation: number) {
  const radius = Math.ceil(deviation * 2.5);
  const kernel = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - radius) / deviation) ** 2),
  );
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  const weights = kernel.map((weight) => weight / total);
  /** The neighbours of each position along an edge, edges extended: `[length, kernel]`. */
  const neighbours = (length: number, stride: number) =>
    Int32Array.from({ length: length * weights.length }, (_, i) => {
      const at = Math.floor(i / weights.length) + (i % weights.length) - radius;
      return clamp(at, 0, length - 1) * stride;
    });
  const pass = (from: Float32Array, length: number, stride: number, lines: number, lineStride: number) => {
    const out = new Float32Array(from.length);
    const near = neighbours(length, stride);
    for (let line = 0; line < lines; line++)
      for (let at = 0, first = 0; at < length; at++, first += weights.length)
        for (let c = 0; c < channels; c++) {
          const start = line * lineStride + c;
          let sum = 0;
          for (let k = 0; k < weights.length; k++)
            sum = Math.fround(sum + weights[k]! * from[start + near[first + k]!]!);
          out[start + at * stride] = sum;
        }
    return out;
  };
  const row = width * channels;
  return pass(pass(data, width, channels, height, row), height, row, width, channels);
}

/**
 * The picture scaled down to `most` × `most` pixels, or as many as its shorter side has; each is the mean of the pixels with
 * centres in its cell.
 */
export function shrink(image: Image, most: number): Image {
  const { width, height, data } = image;
  const count = Math.min(most, width, height);
  const out = createImage(count, count);
  const members = new Uint32Array(count * count);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 3) {
      const cell = Math.floor(((y + 0.5) / height) * count) * count + Math.floor(((x + 0.5) / width) * count);
      members[cell]!++;
      for (let c = 0; c < 3; c++) out.data[cell * 3 + c]! += data[i + c]!;
    }
  for (let i = 0; i < out.data.length; i++) out.data[i]! /= members[Math.floor(i / 3)]!;
  return out;
}

/** The picture enlarged to `size` × `size` pixels, in blocks or smoothly (bilinear). */
export function enlarge(image: Image, size: number, look: "blocks" | "smooth"): Image {
  const scale = image.width / size;
  const snap = look === "blocks" ? Math.round : (value: number) => value;
  return resample(
    image,
    (x, y, at) => {
      at[0] = snap((x + 0.5) * scale - 0.5);
      at[1] = snap((y + 0.5) * scale - 0.5);
    },
    size,
  );
}

/**
 * Oil-paint look (Kuwahara): each pixel is the mean of the least varying of four squares of edge `radius` + 1 that it
 * corners.
 */
export function smoothPatches(image: Image, radius: number): Image {
  const { width, height, data } = image;
  const out = createImage(width, height);
  const mean = new Float64Array(3);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 3) {
      let calmest = Infinity;
      for (let quadrant = 0; quadrant < 4; quadrant++) {
        const [left, top] = [x - (quadrant & 1 ? radius : 0), y - (quadrant & 2 ? radius : 0)];
        mean.fill(0);
        let [squares, count] = [0, 0];
        for (let v = Math.max(top, 0); v <= Math.min(top + radius, height - 1); v++)
          for (let u = Math.max(left, 0); u <= Math.min(left + radius, width - 1); u++, count++)
            for (let c = 0; c < 3; c++) {
              const value = data[(v * width + u) * 3 + c]!;
              mean[c]! += value;
              squares += value * value;
            }
        const spread = (squares - (mean[0]! ** 2 + mean[1]! ** 2 + mean[2]! ** 2) / count) / count;
        if (spread >= calmest - 1e-7) continue;
        calmest = spread;
        for (let c = 0; c < 3; c++) out.data[i + c] = mean[c]! / count;
      }
    }
  return out;
}

/** Luma of an sRGB colour (Rec. 601). */
export const luma = (r: number, g: number, b: number): number => 0.299 * r + 0.587 * g + 0.114 * b;

/** Luma of the pixel whose red is at index `at`; green and blue follow. */
export const lumaAt = (data: ArrayLike<number>, at: number): number =>
  luma(data[at]!, data[at + 1]!, data[at + 2]!);

/** Moves colours away from gray (`gain` above 1) or towards gray (below 1), with constant luma. */
export const saturate =
  (gain: number): PixelMap =>
  (r, g, b, out, at) => {
    const gray = luma(r, g, b);
    out[at] = gray + (r - gray) * gain;
    out[at + 1] = gray + (g - gray) * gain;
    out[at + 2] = gray + (b - gray) * gain;
  };
