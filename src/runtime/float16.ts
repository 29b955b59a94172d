/**
 * @file The two 16-bit floating point formats of weight files, as bit patterns in a `Uint16Array`.
 *
 * | format | sign | exponent | fraction | |
 * |---|---|---|---|---|
 * | F16, IEEE 754 binary16 | 1 | 5 | 10 | largest 65,504; subnormal below 2⁻¹⁴ |
 * | BF16, bfloat16 | 1 | 8 | 7 | the upper half of a 32-bit float |
 *
 * Narrowing rounds to the nearest, ties to even, as PyTorch and NumPy do; a NaN stays a (quiet) NaN.
 */

/** F16 bit patterns → 32-bit floats, exactly. */
export function float16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  widened ??= Uint32Array.from({ length: 0x10000 }, (_, half) => widenHalf(half));
  const table = widened;
  const result = new Float32Array(bits.length);
  const out = new Uint32Array(result.buffer);
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]!]!;
  return result;
}

/** BF16 bit patterns → 32-bit floats, exactly. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const result = new Float32Array(bits.length);
  const out = new Uint32Array(result.buffer);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return result;
}

/** 32-bit floats → F16 bit patterns. Numbers beyond the largest by half a step or more become infinity. */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = bitsOf(values);
  const result = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) result[i] = narrowToHalf(bits[i]!);
  return result;
}

/** 32-bit floats → BF16 bit patterns. */
export function float32ToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = bitsOf(values);
  const result = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const single = bits[i]!;
    const nan = (single & 0x7fffffff) > 0x7f800000;
    // Adding just under a half, and one more where the last kept bit is odd, rounds to nearest, ties to even.
    result[i] = nan ? (single >>> 16) | 0x40 : (single + 0x7fff + ((single >>> 16) & 1)) >>> 16;
  }
  return result;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** The 32-bit pattern of each F16 pattern, computed on first use (256 KiB). */
let widened: Uint32Array | undefined;

function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13); // 112: difference of the biases
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // brings the leading one of a subnormal to bit 10, the implied one
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function narrowToHalf(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const magnitude = single & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65,536 and more
  if (magnitude >= 0x38800000) return sign | roundShift(magnitude - 0x38000000, 13); // 2⁻¹⁴ and more: normal
  const shift = 126 - (magnitude >>> 23);
  return shift > 24 ? sign : sign | roundShift((magnitude & 0x7fffff) | 0x800000, shift);
}

/** value / 2^shift, rounded to the nearest integer, ties to even. A carry into the exponent is correct. */
function roundShift(value: number, shift: number): number {
  const kept = value >>> shift;
  return (value + (1 << (shift - 1)) - 1 + (kept & 1)) >>> shift;
}
