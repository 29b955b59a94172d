/** @file Changes of an icon's parts, and sprites with a contour or a shadow. */
import { gaussianBlur } from "../../image/filters.ts";
import type { Icon } from "../gathered/index.ts";
import type { Rgb } from "../world/scene.ts";
import { type Sprite, silhouette, spriteOf, stacked } from "./sprite.ts";

/** The least share of an icon's pixels that a part's change must affect, and the largest share that is removed. */
const [leastVisible, mostTaken] = [0.04, 0.6];

/** Share of the visible pixels in which two sprites of equal size differ visibly. */
function difference(a: Sprite, b: Sprite): number {
  let [different, painted] = [0, 0];
  for (let i = 0; i < a.data.length; i += 4) {
    if (a.data[i + 3]! < 0.5 && b.data[i + 3]! < 0.5) continue;
    painted++;
    let distance = 0;
    for (let c = i; c < i + 4; c++) distance += Math.abs(a.data[c]! - b.data[c]!);
    if (distance > 0.25) different++;
  }
  return different / (painted || 1);
}

const area = ({ data }: Sprite): number => {
  let sum = 0;
  for (let i = 3; i < data.length; i += 4) sum += data[i]!;
  return sum;
};

/** The icon with its largest flat layer in `color`; undefined if there is none, or it is hardly visible. */
export function withLargestPart(icon: Icon, color: Rgb): Sprite | undefined {
  const layers = icon.layers();
  const sprites = layers.map(({ image }) => spriteOf(image));
  const flat = [...layers.keys()].filter((i) => layers[i]!.color);
  if (layers.length < 2 || flat.length === 0) return undefined;
  const largest = flat.reduce((best, i) => (area(sprites[i]!) > area(sprites[best]!) ? i : best));
  const changed = sprites.with(largest, silhouette(sprites[largest]!, color));
  const after = stacked(changed);
  return difference(stacked(sprites), after) < 3 * leastVisible ? undefined : after;
}

/** The icon without its topmost layer; undefined if that layer is almost nothing, or almost all. */
export function withoutTop(icon: Icon): Sprite | undefined {
  const sprites = icon.layers().map(({ image }) => spriteOf(image));
  if (sprites.length < 2) return undefined;
  const after = stacked(sprites.slice(0, -1));
  const taken = difference(stacked(sprites), after);
  return taken < leastVisible || taken > mostTaken ? undefined : after;
}

/** The sprite with a transparent margin. */
function padded({ width, height, data }: Sprite, margin: number): Sprite {
  const wide = width + 2 * margin;
  const out = new Float32Array(wide * (height + 2 * margin) * 4);
  for (let y = 0; y < height; y++)
    out.set(data.subarray(y * width * 4, (y + 1) * width * 4), ((y + margin) * wide + margin) * 4);
  return { width: wide, height: height + 2 * margin, data: out };
}

/** The sprite on a contour of `color`, `width` of its pixels wide, which enlarges it on each side. */
export function outlined(sprite: Sprite, width: number, color: Rgb): Sprite {
  const wide = padded(sprite, width + 1);
  const alpha = new Float32Array(wide.data.length / 4);
  // Row by row, then down columns: each row offset has a half chord of the disc.
  for (let dy = -width; dy <= width; dy++) {
    const reach = Math.round(Math.sqrt(width * width - dy * dy));
    for (let y = Math.max(0, -dy); y < Math.min(wide.height, wide.height - dy); y++)
      for (let x = 0; x < wide.width; x++) {
        const own = wide.data[((y + dy) * wide.width + x) * 4 + 3]!;
        if (own === 0) continue;
        for (let k = Math.max(0, x - reach); k <= Math.min(wide.width - 1, x + reach); k++) {
          const at = y * wide.width + k;
          if (alpha[at]! < own) alpha[at] = own;
        }
      }
  }
  return stacked([inAlpha(wide, alpha, color), wide]);
}

function inAlpha({ width, height }: Sprite, alpha: Float32Array, color: Rgb): Sprite {
  const data = new Float32Array(alpha.length * 4);
  for (let i = 0; i < alpha.length; i++) {
    for (let c = 0; c < 3; c++) data[i * 4 + c] = color[c]! * alpha[i]!;
    data[i * 4 + 3] = alpha[i]!;
  }
  return { width, height, data };
}

interface Shadow {
  /** Offset and standard deviation, in the sprite's pixels. */
  readonly x: number;
  readonly y: number;
  readonly blur: number;
  readonly color: Rgb;
}

/** The sprite with a soft shadow behind it; enlarged on each side to hold the shadow. */
export function shadowed(sprite: Sprite, { x, y, blur, color }: Shadow): Sprite {
  const margin = Math.ceil(Math.max(Math.abs(x), Math.abs(y)) + 2 * blur);
  const wide = padded(sprite, margin);
  const { width, height, data } = wide;
  const mask = new Float32Array(width * height * 3);
  for (let v = Math.max(0, y); v < Math.min(height, height + y); v++)
    for (let u = Math.max(0, x); u < Math.min(width, width + x); u++)
      mask[(v * width + u) * 3] = 0.7 * data[((v - y) * width + u - x) * 4 + 3]!;
  const soft = gaussianBlur({ width, height, data: mask }, blur).data;
  const alpha = Float32Array.from({ length: width * height }, (_, i) => soft[i * 3]!);
  return stacked([inAlpha(wide, alpha, color), wide]);
}
