/**
 * @file Decoding with the browser's own decoders, and Pillow's Lanczos-3 (`resize.ts`). Values differ from those of libvips by
 * one or two of 255 on average, more at sharp edges: libvips takes means of pixels first where a picture shrinks by more than two, and may place an enlarged one half a pixel elsewhere.
 */
/// <reference lib="dom" />
import { clamp } from "../numbers.ts";
import type * as node from "./codec.ts";
import { type ByteImage, fromBytes, toBytes } from "./image.ts";
import { layOnWhite } from "./layer.ts";
import { resize } from "./resize.ts";

export const sizeOfFile: typeof node.sizeOfFile = async (bytes) => {
  const bitmap = await open(bytes);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
};

export const decodeFile: typeof node.decodeFile = async (bytes, shape) => {
  const bitmap = await open(bytes);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { colorSpace: "srgb" })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const picture = { width, height, data: layOnWhite(rgba) };
  return shape ? reshape(picture, shape) : picture;
};

export const resizeBytes: typeof node.resizeBytes = async (picture, across, down) =>
  scale(picture, { width: across, height: down, fit: "fill" });

const open = (bytes: Uint8Array): Promise<ImageBitmap> =>
  createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), { imageOrientation: "from-image" });

function reshape(picture: ByteImage, shape: node.Shape): ByteImage {
  const scaled = scale(picture, shape);
  return shape.margins ? extend(scaled, shape.margins) : scaled;
}

function scale(picture: ByteImage, { width, height, fit }: node.Shape): ByteImage {
  const factor = Math.max(width / picture.width, height / picture.height);
  const scaled = (edge: number) => Math.round(edge * factor);
  const across = fit === "fill" ? width : scaled(picture.width);
  const down = fit === "fill" ? height : scaled(picture.height);
  // libvips cuts the odd pixel from the left and from the top.
  const window = { left: (across - width + 1) >> 1, top: (down - height + 1) >> 1, width, height };
  const image = fromBytes(picture.width, picture.height, picture.data);
  return { width, height, data: toBytes(resize(image, across, down, "lanczos", window)) };
}

/** Repeats the outermost pixels outwards. */
function extend({ width, height, data }: ByteImage, margins: NonNullable<node.Shape["margins"]>): ByteImage {
  const { left, top, right, bottom } = margins;
  const [across, down] = [left + width + right, top + height + bottom];
  const out = new Uint8Array(across * down * 3);
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++) {
      const column = clamp(x - left, 0, width - 1);
      const from = (clamp(y - top, 0, height - 1) * width + column) * 3;
      out.set(data.subarray(from, from + 3), (y * across + x) * 3);
    }
  return { width: across, height: down, data: out };
}
