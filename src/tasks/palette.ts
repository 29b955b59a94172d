/**
 * @file Colours of maps: depth palettes, separated by hue so that some are never seen in training, and sets of colours
 * that are easy to distinguish.
 */
import { clamp } from "../numbers.ts";
import type { Random } from "../random.ts";
import type { Rgb } from "./world/scene.ts";

/** sRGB of hue (turns), saturation and value in [0, 1]. */
export function hsv(hue: number, saturation: number, value: number): Rgb {
  const channel = (n: number) => {
    const k = (((n + hue * 6) % 6) + 6) % 6;
    return value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1));
  };
  return [channel(5), channel(3), channel(1)];
}

/** Hues (turns) from violet to pink: no palette of the depth family has them. */
export const reservedHues = { low: 0.7, high: 0.93 } as const;

/** A sequence of colours from near to far: the hue drifts, the brightness rises or falls monotonically. */
export interface DepthPalette {
  /** Hue (turns) of the nearest and of the farthest colour. */
  readonly nearHue: number;
  readonly farHue: number;
  /** Value (HSV) of the nearest and of the farthest colour. */
  readonly nearValue: number;
  readonly farValue: number;
  readonly saturation: number;
}

/** The palette's colour at `position`, 0 near to 1 far. */
export function paletteColor(palette: DepthPalette, position: number): Rgb {
  const between = (near: number, far: number) => near + (far - near) * position;
  const value = between(palette.nearValue, palette.farValue);
  return hsv(between(palette.nearHue, palette.farHue), palette.saturation, value);
}

/** A random palette with all hues inside the reserved band, or all outside it. */
export function drawDepthPalette(random: Random, hues: "open" | "reserved"): DepthPalette {
  const { low, high } = reservedHues;
  const [from, to] = hues === "reserved" ? [low, high] : [high, low + 1];
  const nearHue = random.uniform(from, to);
  const drift = Math.min(0.25, to - from) * random.uniform(-1, 1);
  const farHue = clamp(nearHue + drift, from, to);
  const [bright, dark] = [random.uniform(0.85, 1), random.uniform(0.08, 0.25)];
  const [nearValue, farValue] = random.chance(0.5) ? [bright, dark] : [dark, bright];
  return { nearHue, farHue, nearValue, farValue, saturation: random.uniform(0.55, 0.95) };
}

/** `count` colours that are easy to distinguish, in random order. */
export function drawDistinctColors(random: Random, count: number): Rgb[] {
  const start = random.uniform();
  const colors = Array.from({ length: count }, (_, i) =>
    hsv(
      start + i / count,
      random.uniform(0.65, 0.95),
      i % 2 === 0 ? random.uniform(0.85, 1) : random.uniform(0.4, 0.7),
    ),
  );
  return random.shuffle(colors);
}
