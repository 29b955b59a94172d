/** @file Pictures as PNG, by libvips. */
import sharp, { type Sharp } from "sharp";
import { checkValues } from "./check-values.ts";
import { type ByteImage, type Image, toBytes } from "./image.ts";
import { addPngText } from "./png-text.ts";

export interface PngOptions {
  /** Texts to put in the file, by keyword (1 to 79 Latin-1 characters). */
  text?: Readonly<Record<string, string>>;
}

/** Pixels from which packing a PNG as small as possible takes too long. */
const LARGE = 2e6;

/** @throws XPromptError for a wrong number of values, or values that are no colours */
export function sharpOf(image: Image | ByteImage): Sharp {
  checkValues(image ?? {}, "saving a picture");
  const { width, height } = image;
  return sharp(toBytes(image), { raw: { width, height, channels: 3 }, limitInputPixels: false });
}

/**
 * The picture as an 8-bit RGB PNG. The same picture and texts give the same bytes (with the same libvips).
 * @throws XPromptError for a wrong number of values, or values that are no colours
 */
export async function encodePng(image: Image | ByteImage, { text = {} }: PngOptions = {}): Promise<Buffer> {
  const picture = sharpOf(image);
  const compressionLevel = image.width * image.height < LARGE ? 9 : 5;
  const png = await picture.png({ compressionLevel, adaptiveFiltering: true, palette: false }).toBuffer();
  return Buffer.from(addPngText(png, text).buffer);
}
