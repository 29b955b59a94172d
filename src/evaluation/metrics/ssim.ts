/**
 * @file Structural similarity (Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861) with scikit-image's
 * conventions: values in [0, 1], separate channels, windows entirely inside the picture, the mean over all.
 */
import type { Image } from "../../image/index.ts";
import { checkSameSize } from "./pictures.ts";

/**
 * The window around a pixel:
 * - `uniform`: 7 × 7 pixels with equal weights and the sample covariance, the default of `structural_similarity`;
 * - `gaussian`: 11 × 11 pixels with σ = 1.5 and the population covariance, as in the original paper
 *   (`gaussian_weights=True, sigma=1.5, use_sample_covariance=False`).
 */
export type SsimWindow = "uniform" | "gaussian";

const UNIFORM_SIDE = 7;
const SIGMA = 1.5;
const GAUSSIAN_RADIUS = 5;
/** (K₁ L)² and (K₂ L)² for the dynamic range L = 1. */
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;

/** Weights along one axis, and the factor that turns a mean of products into an unbiased covariance. */
function windowOf(window: SsimWindow): { taps: number[]; unbias: number } {
  if (window === "uniform") {
    const count = UNIFORM_SIDE ** 2;
    return { taps: Array(UNIFORM_SIDE).fill(1 / UNIFORM_SIDE), unbias: count / (count - 1) };
  }
  const weights = Array.from({ length: 2 * GAUSSIAN_RADIUS + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - GAUSSIAN_RADIUS) / SIGMA) ** 2),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return { taps: weights.map((weight) => weight / total), unbias: 1 };
}

/** Mean structural similarity; 1 for equal pictures. @throws RangeError when a picture is smaller than the window */
export function ssim(a: Image, b: Image, window: SsimWindow = "uniform"): number {
  checkSameSize("ssim", a, b);
  const { taps, unbias } = windowOf(window);
  const { width, height } = a;
  if (Math.min(width, height) < taps.length)
    throw new RangeError(`ssim: expected at least ${taps.length} pixels per side, got ${width} × ${height}`);
  let sum = 0;
  let count = 0;
  for (let channel = 0; channel < 3; channel++) {
    const x = planeOf(a, channel);
    const y = planeOf(b, channel);
    const mean = (values: Float64Array) => filter(values, width, height, taps);
    const [ux, uy] = [mean(x), mean(y)];
    const [uxx, uyy, uxy] = [mean(product(x, x)), mean(product(y, y)), mean(product(x, y))];
    for (let i = 0; i < ux.length; i++) {
      const vx = unbias * (uxx[i]! - ux[i]! ** 2);
      const vy = unbias * (uyy[i]! - uy[i]! ** 2);
      const vxy = unbias * (uxy[i]! - ux[i]! * uy[i]!);
      sum +=
        ((2 * ux[i]! * uy[i]! + C1) * (2 * vxy + C2)) / ((ux[i]! ** 2 + uy[i]! ** 2 + C1) * (vx + vy + C2));
    }
    count += ux.length;
  }
  return sum / count;
}

const planeOf = ({ width, height, data }: Image, channel: number): Float64Array =>
  Float64Array.from({ length: width * height }, (_, i) => data[i * 3 + channel]!);

const product = (x: Float64Array, y: Float64Array): Float64Array => x.map((value, i) => value * y[i]!);

/** Weighted mean of every window inside the plane, `[height − taps + 1, width − taps + 1]`. */
function filter(plane: Float64Array, width: number, height: number, taps: readonly number[]): Float64Array {
  const [across, down] = [width - taps.length + 1, height - taps.length + 1];
  const rows = new Float64Array(across * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < across; x++)
      for (let k = 0; k < taps.length; k++) rows[y * across + x]! += taps[k]! * plane[y * width + x + k]!;
  const result = new Float64Array(across * down);
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++)
      for (let k = 0; k < taps.length; k++) result[y * across + x]! += taps[k]! * rows[(y + k) * across + x]!;
  return result;
}
