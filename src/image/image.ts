/** @file The picture type that every room shares. */

/** An RGB picture: sRGB values in [0, 1], row-major, interleaved: `data[(y * width + x) * 3 + channel]`. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** A picture of one colour (black unless told). */
export function createImage(width: number, height: number, [r, g, b]: readonly number[] = [0, 0, 0]): Image {
  const data = new Float32Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = r!;
    data[i + 1] = g!;
    data[i + 2] = b!;
  }
  return { width, height, data };
}

/** The picture as 8-bit sRGB, rounded half up; what lies outside [0, 1] becomes the nearest end. */
export function toBytes({ data }: Image): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) bytes[i] = Math.min(Math.max(data[i]! * 255 + 0.5, 0), 255);
  return bytes;
}

/** A picture from 8-bit sRGB, row-major and interleaved. */
export function fromBytes(width: number, height: number, bytes: Uint8Array): Image {
  if (bytes.length !== width * height * 3) {
    throw new RangeError(
      `fromBytes: expected ${width * height * 3} bytes for ${width} × ${height}, got ${bytes.length}`,
    );
  }
  return { width, height, data: Float32Array.from(bytes, (byte) => byte / 255) };
}
