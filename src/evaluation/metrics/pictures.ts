/** @file Distances between pictures whose values are in [0, 1], over all pixels and channels. */
import type { Image } from "../../image/index.ts";

/** @throws RangeError for pictures of different sizes */
export function checkSameSize(what: string, a: Image, b: Image): void {
  if (a.width !== b.width || a.height !== b.height)
    throw new RangeError(
      `${what}: expected pictures of one size, got ${a.width} × ${a.height} and ${b.width} × ${b.height}`,
    );
}

function meanOf(what: string, a: Image, b: Image, distance: (difference: number) => number): number {
  checkSameSize(what, a, b);
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += distance(a.data[i]! - b.data[i]!);
  return sum / a.data.length;
}

/** Mean absolute difference (MagicBrush's L1). */
export const l1 = (a: Image, b: Image): number => meanOf("l1", a, b, Math.abs);

/** Mean squared difference (MagicBrush's L2). */
export const l2 = (a: Image, b: Image): number => meanOf("l2", a, b, (difference) => difference ** 2);

/** Root mean square difference: 0 is equal, 1 is black against white. */
export const rmse = (a: Image, b: Image): number => Math.sqrt(l2(a, b));

/** Peak signal-to-noise ratio in dB, 10 log₁₀(1 / MSE): Infinity for equal pictures. */
export const psnr = (a: Image, b: Image): number => -10 * Math.log10(l2(a, b));

/** Half a step of 8 bits: a smaller difference is none that a stored picture could show. */
const HALF_A_STEP = 0.5 / 255;

/**
 * PSNR as it goes into means: with a root mean square difference of at least half a step of 8 bits, so that it is at
 * most 54.2 dB, and one equal picture does not make a mean infinite.
 */
export const boundedPsnr = (a: Image, b: Image): number =>
  Math.min(psnr(a, b), -20 * Math.log10(HALF_A_STEP));
