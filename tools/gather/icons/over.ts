/** @file Layers laid over one another: the "over" operator of Porter and Duff, on 8-bit RGBA with straight alpha. */

/** @returns RGBA with premultiplied alpha, 0 to 255, not rounded. */
export function over(layers: readonly Uint8Array[]): Float32Array {
  const result = new Float32Array(layers[0]!.length);
  for (const layer of layers) {
    for (let i = 0; i < layer.length; i += 4) {
      const alpha = layer[i + 3]! / 255;
      if (alpha === 0) continue;
      for (let c = 0; c < 3; c++) result[i + c] = layer[i + c]! * alpha + result[i + c]! * (1 - alpha);
      result[i + 3] = 255 * alpha + result[i + 3]! * (1 - alpha);
    }
  }
  return result;
}

/** Premultiplied values as 8-bit RGBA with straight alpha. */
export function straight(premultiplied: Float32Array): Uint8Array {
  const bytes = new Uint8Array(premultiplied.length);
  for (let i = 0; i < bytes.length; i += 4) {
    const alpha = premultiplied[i + 3]!;
    if (alpha < 0.5) continue;
    for (let c = 0; c < 3; c++)
      bytes[i + c] = Math.min(255, Math.round((premultiplied[i + c]! * 255) / alpha));
    bytes[i + 3] = Math.round(alpha);
  }
  return bytes;
}
