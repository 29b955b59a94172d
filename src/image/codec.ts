/** @file Decoding and resampling with libvips. `codec.browser.ts` stands in for this module in browsers. */
import sharp, { type Sharp } from "sharp";
import type { ByteImage } from "./image.ts";
import { layOnWhite } from "./layer.ts";
import { maxPixels } from "./limits.ts";

/** What a picture becomes while it is decoded, by Lanczos-3. */
export interface Shape {
  /** In pixels, without the margins. */
  readonly width: number;
  readonly height: number;
  /** `fill`: scaled to exactly that size; `cover`: the short edge is scaled, and the middle is kept. */
  readonly fit: "fill" | "cover";
  /** Whether transparency is laid on white before scaling instead of after it. */
  readonly isFlat?: boolean;
  /** Pixels to add around the picture, in the colours of its outermost ones. */
  readonly margins?: Readonly<Record<"left" | "top" | "right" | "bottom", number>>;
}

/** Width and height of the picture in a file, upright, from its header. */
export async function sizeOfFile(
  bytes: Uint8Array,
): Promise<{ readonly width: number; readonly height: number }> {
  return (await sharp(bytes, { limitInputPixels: false }).metadata()).autoOrient;
}

/**
 * The picture in a PNG, JPEG or WebP file, upright, as sRGB on white.
 * @throws Error for a broken or truncated file
 */
export async function decodeFile(bytes: Uint8Array, shape?: Shape): Promise<ByteImage> {
  const upright = sharp(bytes, { failOn: "error", limitInputPixels: maxPixels }).autoOrient();
  const shaped = shape ? reshape(upright, shape) : upright;
  const { data, info } = await shaped.toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: info.channels === 4 ? layOnWhite(data) : data };
}

/** The picture at another size, by Lanczos-3, whatever its aspect ratio. */
export async function resizeBytes(picture: ByteImage, across: number, down: number): Promise<ByteImage> {
  const { width, height } = picture;
  const data = await sharp(picture.data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .resize(across, down, { kernel: "lanczos3", fit: "fill" })
    .raw()
    .toBuffer();
  return { width: across, height: down, data };
}

function reshape(picture: Sharp, { width, height, fit, isFlat, margins }: Shape): Sharp {
  const flat = isFlat ? picture.flatten({ background: "white" }) : picture;
  // JPEG's own scaling while decoding is quicker, but not Lanczos.
  const scaled = flat.resize(width, height, { kernel: "lanczos3", fastShrinkOnLoad: false, fit });
  return margins ? scaled.extend({ ...margins, extendWith: "copy" }) : scaled;
}
