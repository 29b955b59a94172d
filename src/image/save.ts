/** @file Pictures to files, with texts in them that say how they were made. */
import { extname } from "node:path";
import { messageOf, XPromptError } from "../errors.ts";
import { readFileChecked, type WriteOptions, writeFileAtomic } from "../runtime/files.ts";
import { encodePng, type PngOptions, sharpOf } from "./encode-png.ts";
import type { ByteImage, Image } from "./image.ts";
import { parsePngText } from "./png.ts";

interface EncodeOptions extends PngOptions {
  /** Of a JPEG or WebP, 1 to 100. Defaults to 92. */
  quality?: number;
}

const QUALITY = 92;

/**
 * Writes the picture to a PNG file, whole or not at all.
 * @throws XPromptError where the file system refuses.
 */
export async function savePng(
  path: string,
  image: Image | ByteImage,
  options: PngOptions & WriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await encodePng(image, options), options);
}

/** How a picture is encoded, by the ending of its file's name. */
const encoders: Readonly<
  Record<string, (image: Image | ByteImage, options: EncodeOptions) => Promise<Buffer>>
> = {
  ".png": encodePng,
  ".jpg": encodeJpeg,
  ".jpeg": encodeJpeg,
  ".webp": (image, { text, quality = QUALITY }) =>
    sharpOf(image).withExif(exifOf(text)).webp({ quality, smartSubsample: true }).toBuffer(),
};

/** Endings that `saveImage` takes, in lower case. */
export const imageExtensions: readonly string[] = Object.keys(encoders);

/**
 * The picture as a PNG, JPEG or WebP, as the path ends. Of the texts, `Software` is in
 * EXIF's field of that name and `xprompt` in its ImageDescription.
 * @throws XPromptError for another ending, or a picture too large for the format
 */
export async function encodeImage(
  path: string,
  image: Image | ByteImage,
  options: EncodeOptions = {},
): Promise<Buffer> {
  const encode = encoders[extname(path).toLowerCase()];
  if (!encode)
    throw new XPromptError(
      `writing ${path}: expected a name that ends in ${imageExtensions.join(", ")} (choose one of them)`,
    );
  return encode(image, options).catch((error) => {
    throw new XPromptError(
      `writing ${path}: expected a picture that the format can hold, got ${image.width} × ${image.height}: ${messageOf(error)} (write a .png)`,
    );
  });
}

/**
 * Writes the picture to a file that `encodeImage` makes, whole or not at all.
 * @throws XPromptError as `encodeImage`, or where the file system refuses
 */
export async function saveImage(
  path: string,
  image: Image | ByteImage,
  options: PngOptions & WriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await encodeImage(path, image, options), options);
}

function encodeJpeg(image: Image | ByteImage, { text, quality = QUALITY }: EncodeOptions): Promise<Buffer> {
  return sharpOf(image).withExif(exifOf(text)).jpeg({ quality, chromaSubsampling: "4:4:4" }).toBuffer();
}

/** EXIF's texts are ASCII: other characters are escaped, as JSON escapes them. sharp takes no empty ones. */
function exifOf({ Software, xprompt }: PngOptions["text"] = {}) {
  const ascii = (text: string) =>
    text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return {
    IFD0: {
      ...(Software && { Software: ascii(Software) }),
      ...(xprompt && { ImageDescription: ascii(xprompt) }),
    },
  };
}

/**
 * The texts in a PNG file, or in the bytes of one, by keyword.
 * @throws XPromptError when it is missing, no PNG, or broken.
 */
export async function readPngText(source: string | Uint8Array): Promise<Record<string, string>> {
  if (typeof source !== "string") return parsePngText(source, "reading the texts of an image");
  return parsePngText(await readFileChecked(source, "image"), `reading the texts of image ${source}`);
}
