/** @file Sprites: pictures with transparency that are composited, and stamped onto pictures at any place and scale. */
import type { Image } from "../../image/image.ts";
import { clamp } from "../../numbers.ts";
import type { Bytes } from "../gathered/index.ts";
import type { Rgb } from "../world/scene.ts";

/** RGBA in [0, 1], premultiplied alpha; row-major, interleaved. */
export interface Sprite {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** The longest side of a sprite: larger pictures are halved until they fit. */
const longestSide = 160;

export function spriteOf({ width, height, data: bytes }: Bytes): Sprite {
  const data = new Float32Array(width * height * 4);
  for (let i = 0; i < data.length; i += 4) {
    const alpha = bytes[i + 3]! / 255;
    for (let c = i; c < i + 3; c++) data[c] = (bytes[c]! / 255) * alpha;
    data[i + 3] = alpha;
  }
  let sprite: Sprite = { width, height, data };
  while (Math.max(sprite.width, sprite.height) > longestSide) sprite = halved(sprite);
  return sprite;
}

/** Every pixel is the mean of four; an odd last row or column is dropped. */
function halved({ width, height, data }: Sprite): Sprite {
  const [w, h] = [width >> 1 || 1, height >> 1 || 1];
  const out = new Float32Array(w * h * 4);
  const [right, down] = [width > 1 ? 4 : 0, height > 1 ? width * 4 : 0];
  for (let y = 0, to = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      for (let c = 0; c < 4; c++, to++) {
        const at = (2 * y * width + 2 * x) * 4 + c;
        out[to] = (data[at]! + data[at + right]! + data[at + down]! + data[at + right + down]!) / 4;
      }
  return { width: w, height: h, data: out };
}

/** Sprites of equal size composited, the first at the bottom. */
export function stacked(layers: readonly Sprite[]): Sprite {
  const [bottom, ...others] = layers as [Sprite, ...Sprite[]];
  const data = bottom.data.slice();
  for (const { data: top } of others)
    for (let i = 0; i < data.length; i += 4) {
      const alpha = top[i + 3]!;
      if (alpha === 0) continue;
      for (let c = i; c < i + 4; c++) data[c] = top[c]! + data[c]! * (1 - alpha);
    }
  return { ...bottom, data };
}

/** The sprite with its colours mapped by `map`, in straight alpha; alpha stays. */
export function recolored(
  { width, height, data }: Sprite,
  map: (r: number, g: number, b: number, out: Float32Array) => void,
): Sprite {
  const out = data.slice();
  const color = new Float32Array(3);
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    if (alpha === 0) continue;
    map(data[i]! / alpha, data[i + 1]! / alpha, data[i + 2]! / alpha, color);
    for (let c = 0; c < 3; c++) out[i + c] = clamp(color[c]!) * alpha;
  }
  return { width, height, data: out };
}

/** The sprite's shape in one colour. */
export const silhouette = (sprite: Sprite, [r, g, b]: Rgb): Sprite =>
  recolored(sprite, (_r, _g, _b, out) => {
    out[0] = r;
    out[1] = g;
    out[2] = b;
  });

/** Where a sprite is stamped. Lengths are in picture widths. */
export interface Place {
  /** Centre. */
  readonly x: number;
  readonly y: number;
  /** Longer side of the sprite. */
  readonly side: number;
  /** Clockwise rotation in radians. Defaults to none. */
  readonly turn?: number;
  readonly mirrored?: boolean;
}

/**
 * Stamps a sprite onto a picture, in place. Each pixel is the mean of several interpolated points; their number depends
 * on the scale.
 */
export function stamp(picture: Image, sprite: Sprite, { x, y, side, turn = 0, mirrored }: Place): void {
  const { width, height, data } = picture;
  const scale = Math.max(sprite.width, sprite.height) / (side * width); // sprite pixels per pixel
  const points = clamp(Math.ceil(scale), 1, 6);
  const [cos, sin] = [Math.cos(turn) * scale, Math.sin(turn) * scale];
  const flip = mirrored ? -1 : 1;
  const [centreX, centreY] = [x * width, y * height];
  const [halfW, halfH] = [sprite.width / scale / 2 + 1, sprite.height / scale / 2 + 1];
  const [absCos, absSin] = [Math.abs(Math.cos(turn)), Math.abs(Math.sin(turn))];
  const [reachX, reachY] = [halfW * absCos + halfH * absSin, halfW * absSin + halfH * absCos];
  const [left, right] = [
    Math.max(0, Math.floor(centreX - reachX)),
    Math.min(width, Math.ceil(centreX + reachX)),
  ];
  const [top, bottom] = [
    Math.max(0, Math.floor(centreY - reachY)),
    Math.min(height, Math.ceil(centreY + reachY)),
  ];
  const sum = new Float64Array(4);
  for (let py = top; py < bottom; py++)
    for (let px = left; px < right; px++) {
      sum.fill(0);
      for (let j = 0; j < points; j++)
        for (let i = 0; i < points; i++) {
          const dx = px + (i + 0.5) / points - centreX;
          const dy = py + (j + 0.5) / points - centreY;
          const u = flip * (cos * dx + sin * dy) + sprite.width / 2;
          const v = cos * dy - sin * dx + sprite.height / 2;
          addPoint(sum, sprite, u - 0.5, v - 0.5);
        }
      if (sum[3] === 0) continue;
      const count = points * points;
      const rest = Math.max(1 - sum[3]! / count, 0);
      const at = (py * width + px) * 3;
      for (let c = 0; c < 3; c++) data[at + c] = Math.min(sum[c]! / count + data[at + c]! * rest, 1);
    }
}

/** Adds the interpolated value at (u, v); outside, the sprite is transparent. */
function addPoint(sum: Float64Array, { width, height, data }: Sprite, u: number, v: number): void {
  const [x0, y0] = [Math.floor(u), Math.floor(v)];
  if (x0 < -1 || y0 < -1 || x0 >= width || y0 >= height) return;
  const [fx, fy] = [u - x0, v - y0];
  for (let k = 0; k < 4; k++) {
    const [x, y] = [x0 + (k & 1), y0 + (k >> 1)];
    if (x < 0 || y < 0 || x >= width || y >= height) continue;
    const weight = (k & 1 ? fx : 1 - fx) * (k >> 1 ? fy : 1 - fy);
    const at = (y * width + x) * 4;
    for (let c = 0; c < 4; c++) sum[c]! += weight * data[at + c]!;
  }
}

/** A sprite and its place. */
export interface Stamp {
  readonly sprite: Sprite;
  readonly place: Place;
}

/** A copy of the background with sprites on it, the first at the bottom. */
export function stamped(ground: Image, stamps: readonly Stamp[]): Image {
  const picture = { ...ground, data: ground.data.slice() };
  for (const { sprite, place } of stamps) stamp(picture, sprite, place);
  return picture;
}
