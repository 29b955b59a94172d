/**
 * @file Loads pictures from outside: PNG, JPEG or WebP with any colour format, rotated and cropped for a model. Checks
 * the first bytes and the header before decoding anything.
 */
import sharp, { type Sharp } from "sharp";
import { messageOf, XPromptError } from "../errors.ts";
import { readFileChecked } from "../runtime/files.ts";
import { type ByteImage, fromBytes, type Image } from "./image.ts";

/** The most pixels to decode: a small file can claim billions. */
export const maxPixels = 64_000_000;
/** The minimum of width and height in pixels. */
export const minEdge = 8;
/** The most bytes of an encoded picture. */
const maxBytes = 256 * 2 ** 20;

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
 * @throws RangeError for a size that is not a whole number from 1
 */
export async function loadImage(source: string | Uint8Array, options: LoadOptions = {}): Promise<Image> {
  const { width, height, data } = await decode(source, options);
  return fromBytes(width, height, data);
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
export async function squeeze({ width, height, data }: ByteImage, size: number): Promise<Image> {
  const { data: bytes } = await sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .resize(size, size, { kernel: "lanczos3", fit: "fill" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return fromBytes(size, size, bytes);
}

async function decode(source: string | Uint8Array, options: LoadOptions): Promise<ByteImage> {
  const name = options.name ?? (typeof source === "string" ? source : "image");
  const doing = `reading image ${name}`;
  const bytes = typeof source === "string" ? await readFileChecked(source, "image", maxBytes) : source;
  checkFormat(bytes, doing);
  try {
    const { width, height } = await checkedSize(bytes, doing);
    const upright = sharp(bytes, { failOn: "error", limitInputPixels: maxPixels }).autoOrient();
    const shaped =
      options.size === undefined
        ? reduced(upright, width, height, options.reduceTo)
        : shape(upright.flatten({ background: "white" }), width, height, options.size, options.fit);
    const { data, info } = await shaped.toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: info.channels === 4 ? layOnWhite(data) : data };
  } catch (error) {
    if (error instanceof XPromptError || error instanceof RangeError) throw error;
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
  const { width, height } = (await sharp(bytes, { limitInputPixels: false }).metadata()).autoOrient;
  checkSize(width, height, doing);
  return { width, height };
}

/** RGBA composited on white, rounded to the nearest; libvips, which flattens before it scales, rounds down. */
function layOnWhite(data: Uint8Array): Uint8Array {
  const out = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const alpha = data[from + 3]!;
    for (let c = 0; c < 3; c++) out[to++] = Math.round((data[from + c]! * alpha) / 255 + 255 - alpha);
  }
  return out;
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

/** JPEG's own scaling while decoding is faster, but is not Lanczos. */
const lanczos = { kernel: "lanczos3", fastShrinkOnLoad: false } as const;

function reduced(picture: Sharp, width: number, height: number, pixels = Number.POSITIVE_INFINITY): Sharp {
  const scale = Math.sqrt(pixels / (width * height));
  if (scale >= 1) return picture;
  const [across, down] = [width, height].map((edge) => Math.max(1, Math.round(edge * scale)));
  return picture.resize(across, down, { ...lanczos, fit: "fill" });
}

function shape(
  picture: Sharp,
  width: number,
  height: number,
  size: number,
  fit: "crop" | "pad" = "crop",
): Sharp {
  if (!Number.isInteger(size) || size < 1)
    throw new RangeError(`loadImage: expected a whole size from 1, got ${size}`);
  if (fit === "crop") return picture.resize(size, size, { ...lanczos, fit: "cover" });
  const box = padBox(width, height, size);
  const { left, top } = box;
  return picture.resize(box.width, box.height, { ...lanczos, fit: "fill" }).extend({
    left,
    top,
    right: size - box.width - left,
    bottom: size - box.height - top,
    extendWith: "copy",
  });
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
  const beginning = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  const [, format, taken] = beginnings.find(([pattern]) => pattern.test(beginning)) ?? [];
  if (taken) return;
  const got = bytes.length === 0 ? "an empty file" : (format ?? "something else");
  throw new XPromptError(
    `${doing}: expected a PNG, JPEG or WebP image, got ${got} (convert it, or use another)`,
  );
}

function checkSize(width: number, height: number, doing: string): void {
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
