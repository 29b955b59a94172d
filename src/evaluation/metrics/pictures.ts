/** @file Distances between pictures with values in [0, 1], over all pixels and channels. */
import type { Image } from "../../image/index.ts";
import { psnrOf } from "../../numbers.ts";

/** @throws RangeError when the pictures have different sizes */
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

/** Root mean square difference: 0 for equal pictures, 1 for black and white. */
export const rmse = (a: Image, b: Image): number => Math.sqrt(l2(a, b));

/** Peak signal-to-noise ratio in dB, 10 log₁₀(1 / MSE). Infinity for equal pictures. */
export const psnr = (a: Image, b: Image): number => psnrOf(l2(a, b));

/** Half a quantization step of 8 bits. Stored pictures cannot show smaller differences. */
const HALF_A_STEP = 0.5 / 255;

/**
 * PSNR for use in means: the RMSE is at least half a step of 8 bits, so the PSNR is at most 54.2 dB and one equal picture
 * does not make a mean infinite.
 */
export const boundedPsnr = (a: Image, b: Image): number =>
  Math.min(psnr(a, b), -20 * Math.log10(HALF_A_STEP));
