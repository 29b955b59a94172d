/**
 * @file Loads pictures from outside: PNG, JPEG or WebP with any colour format, rotated and cropped for a model. Checks
 * the first bytes and the header before decoding anything.
 */
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { readFileChecked } from "../runtime/files.ts";
import { checkKeys, type Names } from "../runtime/option-names.ts";
import { decodeFile, resizeBytes, type Shape, sizeOfFile } from "./codec.ts";
import { type ByteImage, fromBytes, type Image } from "./image.ts";
import { maxPixels } from "./limits.ts";

/** The minimum of width and height in pixels. */
export const minEdge = 8;
/** The most bytes of an encoded picture. */
export const maxBytes = 256 * 2 ** 20;

export interface LoadOptions {
  /** Edge length of the square result in pixels; without it, the picture keeps its size. */
  size?: number;
  /**
   * How a picture becomes a square. `crop`: the short edge is scaled to `size`, and the centre is kept. `pad`: the long
   * edge is scaled to `size`, and the outermost pixels are repeated into the rest (`padBox` gives the position of the
   * picture). Defaults to `crop`.
   */
  fit?: "crop" | "pad";
  /** Without `size`: larger pictures are scaled down to about this many pixels while decoding. */
  reduceTo?: number;
  /** The picture's name in errors. Defaults to its path. */
  name?: string;
}

/**
 * Reads a picture from a file, or from the bytes of a file. Applies EXIF rotation, composites transparency on white,
 * and converts embedded colour profiles, greyscale, CMYK, palettes and 16 bits to 8-bit sRGB. Takes the first frame of
 * an animation. Scales with Lanczos-3.
 * @throws XPromptError for a missing, broken or truncated file, for other formats than PNG, JPEG and WebP, for pictures
 * under 8 pixels high or wide or over 64 megapixels
 * @throws UsageError for an unknown option or a wrong one
 */
export async function loadImage(source: string | Uint8Array, options: LoadOptions = {}): Promise<Image> {
  checkOptions(options);
  const { width, height, data } = await decode(source, options);
  return fromBytes(width, height, data);
}

const optionNames = {
  size: true,
  fit: true,
  reduceTo: true,
  name: true,
} as const satisfies Names<LoadOptions>;
const fits: readonly unknown[] = ["crop", "pad", undefined] satisfies LoadOptions["fit"][];
const mostEdge = Math.floor(Math.sqrt(maxPixels));

function checkOptions(options: LoadOptions): void {
  const doing = "loadImage";
  checkKeys(doing, options, optionNames);
  const { size, fit, reduceTo = 1 } = options;
  if (size !== undefined && !(Number.isInteger(size) && size >= 1 && size <= mostEdge))
    throw new UsageError(
      `${doing}: size: expected a whole number from 1 to ${mostEdge}, got ${String(size)}`,
    );
  if (!fits.includes(fit)) throw new UsageError(`${doing}: fit: expected crop or pad, got ${String(fit)}`);
  if (!(reduceTo >= 1))
    throw new UsageError(`${doing}: reduceTo: expected a number from 1, got ${String(reduceTo)}`);
}

/**
 * Reads a picture at its own size, as `loadImage`, but keeps 8 bits: 36 MB for 12 megapixels.
 * @throws XPromptError as `loadImage`
 */
export async function loadBytes(
  source: string | Uint8Array,
  options: Pick<LoadOptions, "name"> = {},
): Promise<ByteImage> {
  return decode(source, options);
}

/** The whole picture squeezed to a square of edge `size`, with Lanczos-3. */
export async function squeeze(picture: ByteImage, size: number): Promise<Image> {
  const { data } = await resizeBytes(picture, size, size);
  return fromBytes(size, size, data);
}

async function decode(source: string | Uint8Array, options: LoadOptions): Promise<ByteImage> {
  const doing = reading(options.name ?? (typeof source === "string" ? source : ""));
  const bytes = typeof source === "string" ? await readFileChecked(source, "image", maxBytes) : source;
  checkFormat(bytes, doing);
  return whole(doing, async () => {
    const { width, height } = await checkedSize(bytes, doing);
    return decodeFile(bytes, shapeOf(width, height, options));
  });
}

/** What is being done, for errors. */
export const reading = (name = ""): string =>
  ["", "image"].includes(name) ? "reading an image" : `reading image ${name}`;

/** The result of decoding. @throws XPromptError for a broken file */
export async function whole<T>(doing: string, decoding: () => Promise<T>): Promise<T> {
  try {
    return await decoding();
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    const [reason] = messageOf(error).split("\n");
    throw new XPromptError(
      `${doing}: expected a complete image, got a broken or truncated one: ${reason} (copy it again)`,
    );
  }
}

/**
 * Width and height of a picture, upright, from its header.
 * @throws XPromptError if they exceed the limits; libvips's own error would not state the picture's size
 */
export async function checkedSize(
  bytes: Uint8Array,
  doing: string,
): Promise<{ readonly width: number; readonly height: number }> {
  const { width, height } = await sizeOfFile(bytes);
  checkSize(width, height, doing);
  return { width, height };
}

/** The position of a picture of `width` × `height` in the square of edge `size` that `fit: "pad"` makes, in pixels. */
export function padBox(
  width: number,
  height: number,
  size: number,
): { left: number; top: number; width: number; height: number } {
  const scale = size / Math.max(width, height);
  const [across, down] = [width, height].map((edge) => Math.max(1, Math.round(edge * scale))) as [
    number,
    number,
  ];
  return { left: (size - across) >> 1, top: (size - down) >> 1, width: across, height: down };
}

/** What a picture becomes while it is decoded; undefined where it keeps its size. */
function shapeOf(width: number, height: number, options: LoadOptions): Shape | undefined {
  const { size, fit = "crop", reduceTo = Number.POSITIVE_INFINITY } = options;
  if (size === undefined) {
    const scale = Math.sqrt(reduceTo / (width * height));
    if (scale >= 1) return undefined;
    const [across, down] = [width, height].map((edge) => Math.max(1, Math.round(edge * scale)));
    return { width: across!, height: down!, fit: "fill" };
  }
  if (fit === "crop") return { width: size, height: size, fit: "cover", isFlat: true };
  const box = padBox(width, height, size);
  const { left, top } = box;
  const margins = { left, top, right: size - box.width - left, bottom: size - box.height - top };
  return { width: box.width, height: box.height, fit: "fill", isFlat: true, margins };
}

/** First bytes of supported and of common unsupported formats. A dot stands for any byte. */
const beginnings: readonly (readonly [pattern: RegExp, format: string, taken: boolean])[] = [
  [/^\x89PNG\r\n.\n/s, "PNG", true],
  [/^\xff\xd8\xff/, "JPEG", true],
  [/^RIFF....WEBP/s, "WebP", true],
  [/^GIF8[79]a/, "GIF", false],
  [/^BM/, "BMP", false],
  [/^(II\*|MM.\*)/s, "TIFF", false],
  [/^....ftyp(avif|avis)/s, "AVIF", false],
  [/^....ftyp(hei|hev|mif1|msf1)/s, "HEIC", false],
  [/^\s*(<\?xml|<svg)/, "SVG", false],
  [/^%PDF/, "PDF", false],
];

function checkFormat(bytes: Uint8Array, doing: string): void {
  const beginning = String.fromCharCode(...bytes.subarray(0, 16));
  const [, format, taken] = beginnings.find(([pattern]) => pattern.test(beginning)) ?? [];
  if (taken) return;
  const got = bytes.length === 0 ? "an empty file" : (format ?? "something else");
  throw new XPromptError(
    `${doing}: expected a PNG, JPEG or WebP image, got ${got} (convert it, or use another)`,
  );
}

/** @throws XPromptError for a picture that is too small or too large */
export function checkSize(width: number, height: number, doing: string): void {
  if (Math.min(width, height) < minEdge) {
    throw new XPromptError(
      `${doing}: expected at least ${minEdge} × ${minEdge} pixels, got ${width} × ${height} (use a larger one)`,
    );
  }
  if (width * height > maxPixels) {
    throw new XPromptError(
      `${doing}: expected at most ${maxPixels / 1e6} megapixels, got ${width} × ${height} (make it smaller first)`,
    );
  }
}
