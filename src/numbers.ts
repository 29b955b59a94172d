/** @file Arithmetic with numbers. For browsers too. */

/** The nearest number from `low` to `high`. */
export const clamp = (value: number, low = 0, high = 1): number => Math.min(Math.max(value, low), high);

/** The product of all factors, such as the number of elements of a shape; 1 without any. */
export const product = (factors: readonly number[]): number =>
  factors.reduce((result, factor) => result * factor, 1);

/** The scalar product of two vectors of equal length. */
export function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** PSNR in dB of a mean squared error, for values within `range`. */
export const psnrOf = (squaredError: number, range = 1): number =>
  -10 * Math.log10(squaredError / range ** 2);
