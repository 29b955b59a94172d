/** @file Three numbers, changed in place: per-pixel code must not allocate. */

export type Vector = Float64Array;

export const vector = (): Vector => new Float64Array(3);

/** out = a + (b − a) · amount; out may be a or b. */
export function mixInto(out: Vector, a: Vector, b: Vector, amount: number): void {
  for (let c = 0; c < 3; c++) out[c] = a[c] + (b[c] - a[c]) * amount;
}
