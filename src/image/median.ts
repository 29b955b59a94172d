/** @file The median filter, which removes thin strokes and isolated pixels and keeps edges. */
import sharp from "sharp";
import { fromBytes, type Image, toBytes } from "./image.ts";

/**
 * The median of each channel over the square of edge 2 · `radius` + 1 around each pixel, in 8 bits; edges are extended.
 * @param radius in pixels, from 1
 */
export async function medianFilter(image: Image, radius: number): Promise<Image> {
  const { width, height } = image;
  const raw = { width, height, channels: 3 } as const;
  const filtered = await sharp(toBytes(image), { raw })
    .median(2 * radius + 1)
    .raw()
    .toBuffer();
  return fromBytes(width, height, filtered);
}
