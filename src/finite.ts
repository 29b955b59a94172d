/** @file Whether numbers are finite. For browsers too. */

/**
 * Whether no element is NaN or infinite. A number times 0 is 0 or −0, unless it is not finite; the sum of products takes a
 * fraction of the time of single checks.
 */
export function areFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * 0;
  return sum === 0;
}
