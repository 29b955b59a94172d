/** @file Transparency. */

/** RGBA composited on white, rounded to the nearest; libvips, which flattens before it scales, rounds down. */
export function layOnWhite(data: Uint8Array | Uint8ClampedArray): Uint8Array {
  const out = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3]!;
    for (let c = 0; c < 3; c++) out[to++] = Math.round((data[from + c]! * alpha) / 255 + 255 - alpha);
  }
  return out;
}
