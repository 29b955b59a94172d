/** @file Arithmetic with numbers. For browsers too. */

/** The nearest number from `low` to `high`. */
export const clamp = (value: number, low = 0, high = 1): number => Math.min(Math.max(value, low), high);

/** The product of all factors, such as the number of elements of a shape; 1 without any. */
export const product = (factors: readonly number[]): number =>
  factors.reduce((result, factor) => result * factor, 1);
