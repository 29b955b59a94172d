/** @file Pictures to PNG files, with texts in them that say how they were made. */
import sharp from "sharp";
import { readFileChecked, type WriteOptions, writeFileAtomic } from "../runtime/files.ts";
import { type Image, toBytes } from "./image.ts";
import { addPngText, parsePngText } from "./png.ts";

export interface PngOptions {
  /** Texts to put in the file, by keyword (1 to 79 Latin-1 characters). */
  text?: Readonly<Record<string, string>>;
}

/** The picture as an 8-bit RGB PNG. The same picture and texts give the same bytes (with the same libvips). */
export async function encodePng(image: Image, { text = {} }: PngOptions = {}): Promise<Buffer> {
  const { width, height } = image;
  const png = await sharp(toBytes(image), { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9, adaptiveFiltering: true, palette: false })
    .toBuffer();
  return addPngText(png, text);
}

/**
 * Writes the picture to a PNG file, whole or not at all.
 * @throws XPromptError where the file system refuses.
 */
export async function savePng(
  path: string,
  image: Image,
  options: PngOptions & WriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await encodePng(image, options), options);
}

/**
 * The texts in a PNG file, or in the bytes of one, by keyword.
 * @throws XPromptError when it is missing, no PNG, or broken.
 */
export async function readPngText(source: string | Uint8Array): Promise<Record<string, string>> {
  if (typeof source !== "string") return parsePngText(source, "reading the texts of an image");
  return parsePngText(await readFileChecked(source, "image"), `reading the texts of image ${source}`);
}
