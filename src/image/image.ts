/** @file The common picture types. */
import { UsageError } from "../errors.ts";
import { clamp } from "../numbers.ts";

/** An RGB picture: sRGB values in [0, 1], row-major, interleaved: `data[(y * width + x) * 3 + channel]`. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** An RGB picture in 8-bit sRGB, row-major, interleaved: a quarter of the memory, for very large pictures. */
export interface ByteImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** @throws UsageError unless both are whole numbers from 1 */
export function checkEdges(doing: string, width: number, height: number): void {
  if (![width, height].every((edge) => Number.isSafeInteger(edge) && edge > 0))
    throw new UsageError(`${doing}: expected whole numbers of pixels from 1, got ${width} × ${height}`);
}

/**
 * A picture of one colour. Defaults to black.
 * @throws UsageError for a width or height that is not a whole number from 1
 */
export function createImage(width: number, height: number, [r, g, b]: readonly number[] = [0, 0, 0]): Image {
  checkEdges("createImage", width, height);
  const data = new Float32Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = r!;
    data[i + 1] = g!;
    data[i + 2] = b!;
  }
  return { width, height, data };
}

/** The picture as 8-bit sRGB, rounded half up and clipped to [0, 1]. */
export function toBytes({ data }: Image | ByteImage): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) bytes[i] = clamp(data[i]! * 255 + 0.5, 0, 255);
  return bytes;
}

/** The same picture rounded to 8 bits per channel, as in a file. */
export const rounded = (image: Image | ByteImage): Image =>
  fromBytes(image.width, image.height, toBytes(image));

/**
 * A picture from 8-bit sRGB, row-major and interleaved.
 * @throws UsageError for another number of bytes than three for each pixel
 */
export function fromBytes(width: number, height: number, bytes: Uint8Array): Image {
  if (bytes.length !== width * height * 3) {
    throw new UsageError(
      `fromBytes: expected ${width * height * 3} bytes for ${width} × ${height}, got ${bytes.length}`,
    );
  }
  const data = new Float32Array(bytes.length);
  for (let i = 0; i < data.length; i++) data[i] = bytes[i]! / 255;
  return { width, height, data };
}
