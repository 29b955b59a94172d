/** @file Vectors of three numbers, changed in place, because per-pixel code must not allocate. */

export type Vector = Float64Array & { 0: number; 1: number; 2: number };

export const vector = (x = 0, y = 0, z = 0): Vector => Float64Array.of(x, y, z) as Vector;

export const mapVector = (v: Vector, map: (value: number) => number): Vector =>
  vector(map(v[0]), map(v[1]), map(v[2]));

/** out = a + (b − a) · amount; out may be a or b. */
export function mixInto(out: Vector, a: Vector, b: Vector, amount: number): void {
  for (let c = 0; c < 3; c++) out[c] = a[c]! + (b[c]! - a[c]!) * amount;
}
