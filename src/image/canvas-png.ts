/** @file Pictures as PNG in browsers, by their own encoder. */
/// <reference lib="dom" />
import type { PngOptions } from "./encode-png.ts";
import { type ByteImage, type Image, toBytes } from "./image.ts";
import { addPngText } from "./png-text.ts";

/** The picture as a PNG, with texts in it. */
export async function encodePng(
  image: Image | ByteImage,
  { text = {} }: PngOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height } = image;
  const bytes = toBytes(image);
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(bytes.subarray(3 * i, 3 * i + 3), 4 * i);
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { colorSpace: "srgb" })!.putImageData(new ImageData(rgba, width, height), 0, 0);
  const png = await canvas.convertToBlob({ type: "image/png" });
  return addPngText(new Uint8Array(await png.arrayBuffer()), text);
}
