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
