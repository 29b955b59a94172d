/** @file Saves pictures to files, with texts that say how they were made. */
import { extname } from "node:path";
import sharp from "sharp";
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { readFileChecked, type WriteOptions, writeFileAtomic } from "../runtime/files.ts";
import { encodePng, type PngOptions, sharpOf } from "./encode-png.ts";
import { exifTexts } from "./exif.ts";
import type { ByteImage, Image } from "./image.ts";
import { parsePngText } from "./png.ts";
import { formatOf } from "./to-png.ts";

export interface EncodeOptions extends PngOptions {
  /** Quality of a JPEG or WebP, 1 to 100. A PNG is lossless. Defaults to 92. */
  quality?: number;
}

const QUALITY = 92;

/**
 * Writes the picture to a PNG file atomically.
 * @throws XPromptError when the file system refuses.
 */
export async function savePng(
  path: string,
  image: Image | ByteImage,
  options: PngOptions & WriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await encodePng(image, options), options);
}

/** Encoders by file extension. */
const encoders: Readonly<
  Record<string, (image: Image | ByteImage, options: EncodeOptions) => Promise<Buffer>>
> = {
  ".png": encodePng,
  ".jpg": encodeJpeg,
  ".jpeg": encodeJpeg,
  ".webp": (image, { text, quality = QUALITY }) =>
    sharpOf(image).withExif(exifOf(text)).webp({ quality, smartSubsample: true }).toBuffer(),
};

/** Extensions that `saveImage` supports, in lower case. */
export const imageExtensions: readonly string[] = Object.keys(encoders);

/**
 * The picture as a PNG, JPEG or WebP, according to the path's extension. In JPEG and WebP, `Software` goes to EXIF's
 * field of that name and `xprompt` to its ImageDescription.
 * @throws UsageError for a quality out of range, or a text that the format cannot keep
 * @throws XPromptError for another extension, or a picture too large for the format
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
  const { quality = QUALITY } = options;
  if (!Number.isInteger(quality) || quality < 1 || quality > 100)
    throw new UsageError(
      `writing ${path}: quality: expected a whole number from 1 to 100, got ${String(quality)}`,
    );
  const text = Object.keys(options.text ?? {}).find((keyword) => !exifKeywords.includes(keyword));
  if (encode !== encoders[".png"] && text !== undefined)
    throw new UsageError(
      `writing ${path}: text: expected ${exifKeywords.join(" or ")}, which JPEG and WebP can keep, got ${JSON.stringify(text)} (write a .png)`,
    );
  if (encode !== encoders[".png"]) checkExifTexts(path, options.text ?? {});
  return encode(image, options).catch((error) => {
    if (error instanceof XPromptError) throw error;
    throw new XPromptError(
      `writing ${path}: expected a picture that the format can hold, got ${image.width} × ${image.height}: ${messageOf(error)} (write a .png)`,
    );
  });
}

/**
 * Writes the picture to a file atomically, in the format of `encodeImage`.
 * @throws UsageError or XPromptError as `encodeImage`, or when the file system refuses
 */
export async function saveImage(
  path: string,
  image: Image | ByteImage,
  options: EncodeOptions & WriteOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await encodeImage(path, image, options), options);
}

function encodeJpeg(image: Image | ByteImage, { text, quality = QUALITY }: EncodeOptions): Promise<Buffer> {
  return sharpOf(image).withExif(exifOf(text)).jpeg({ quality, chromaSubsampling: "4:4:4" }).toBuffer();
}

/** The texts that go into the EXIF data of a JPEG or WebP. */
const exifKeywords: readonly string[] = ["Software", "xprompt"];

/** The most characters of both texts together: EXIF data have at most 64 KiB. */
const MOST_EXIF = 60_000;

/** @throws UsageError for texts that sharp would leave out or cut without a word */
function checkExifTexts(path: string, text: NonNullable<PngOptions["text"]>): void {
  const all = Object.values(text).map(ascii).join("");
  if (all.includes("\0"))
    throw new UsageError(`writing ${path}: text: expected no NUL character, got one (leave it out)`);
  if (all.length > MOST_EXIF)
    throw new UsageError(
      `writing ${path}: text: expected at most ${MOST_EXIF} characters in JPEG and WebP, where one beyond ASCII counts as 6, got ${all.length} (shorten it, or write a .png)`,
    );
}

/** EXIF's texts are ASCII: other characters are escaped as in JSON. */
const ascii = (text: string): string =>
  text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** sharp accepts no empty texts. */
function exifOf({ Software, xprompt }: PngOptions["text"] = {}) {
  return {
    IFD0: {
      ...(Software && { Software: ascii(Software) }),
      ...(xprompt && { ImageDescription: ascii(xprompt) }),
    },
  };
}

/**
 * The texts in a PNG file, or those that `encodeImage` wrote into a JPEG or WebP.
 * @throws XPromptError when it is missing, another kind of file, or broken
 */
export async function readImageText(path: string): Promise<Record<string, string>> {
  const bytes = await readFileChecked(path, "image");
  if (formatOf(bytes) === "png" || extname(path).toLowerCase() === ".png")
    return parsePngText(bytes, `reading the texts of image ${path}`);
  try {
    const { exif } = await sharp(bytes).metadata();
    return exif ? exifTexts(exif) : {};
  } catch (error) {
    throw new XPromptError(
      `reading the texts of image ${path}: expected a JPEG or WebP image, got: ${messageOf(error)}`,
    );
  }
}

/**
 * The texts in a PNG file, or in the bytes of one, by keyword.
 * @throws XPromptError when it is missing, not a PNG, or broken.
 */
export async function readPngText(source: string | Uint8Array): Promise<Record<string, string>> {
  if (typeof source !== "string") return parsePngText(source, "reading the texts of an image");
  return parsePngText(await readFileChecked(source, "image"), `reading the texts of image ${source}`);
}
