/** @file Painting soft-edged strokes and veils over pictures. Coordinates are in picture widths, 0 to 1. */
import { clamp } from "../numbers.ts";
import type { Image } from "./image.ts";

/** A line from (x0, y0) to (x1, y1). A line of length 0 is a dot. */
export type Stroke = readonly [x0: number, y0: number, x1: number, y1: number];

/** `image` blended with `color`; `cover(x, y)` in [0, 1] is the opacity; x and y in [0, 1] are pixel centres. */
export function overlay(
  image: Image,
  color: readonly number[],
  cover: (x: number, y: number, pixel: number) => number,
): Image {
  const { width, height } = image;
  const out: Image = { width, height, data: image.data.slice() };
  for (let y = 0, pixel = 0; y < height; y++)
    for (let x = 0; x < width; x++, pixel++) {
      const strength = cover((x + 0.5) / width, (y + 0.5) / height, pixel);
      if (strength <= 0) continue;
      for (let c = 0; c < 3; c++)
        out.data[pixel * 3 + c]! += (color[c]! - out.data[pixel * 3 + c]!) * Math.min(strength, 1);
    }
  return out;
}

/**
 * Paints a round-ended stroke of `color` from (x0, y0) to (x1, y1) on `image`, in place; coordinates and radius in
 * picture widths. A stroke of length 0 is a disc.
 */
export function paintStroke(
  image: Image,
  [x0, y0, x1, y1]: Stroke,
  radius: number,
  color: ArrayLike<number>,
  opacity: number,
): void {
  const { width, height, data } = image;
  const edge = radius + 1 / width;
  const first = (low: number, count: number) => Math.max(0, Math.floor((low - edge) * count));
  const last = (high: number, count: number) => Math.min(count - 1, Math.ceil((high + edge) * count));
  const [dx, dy] = [x1 - x0, y1 - y0];
  const squared = dx * dx + dy * dy || 1;
  for (let y = first(Math.min(y0, y1), height); y <= last(Math.max(y0, y1), height); y++)
    for (let x = first(Math.min(x0, x1), width); x <= last(Math.max(x0, x1), width); x++) {
      const [px, py] = [(x + 0.5) / width - x0, (y + 0.5) / height - y0];
      const along = clamp((px * dx + py * dy) / squared);
      const away = Math.hypot(px - along * dx, py - along * dy);
      const strength = opacity * clamp((radius - away) * width + 0.5);
      const i = (y * width + x) * 3;
      for (let c = 0; c < 3; c++) data[i + c]! += (color[c]! - data[i + c]!) * strength;
    }
}

/** A copy of `image` with many round-ended strokes of one look on it. */
export function paintStrokes(
  image: Image,
  strokes: readonly Stroke[],
  {
    radius,
    color,
    opacity,
  }: { readonly radius: number; readonly color: ArrayLike<number>; readonly opacity: number },
): Image {
  const out: Image = { ...image, data: image.data.slice() };
  for (const stroke of strokes) paintStroke(out, stroke, radius, color, opacity);
  return out;
}
