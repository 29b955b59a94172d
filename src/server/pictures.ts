/** @file Pictures in requests and responses: data URLs, files of forms, sizes, masks, formats. */
import sharp from "sharp";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { sharpOf } from "../image/encode-png.ts";
import { type ByteImage, encodeImage, type Image, loadBytes, maxPixels, toBytes } from "../image/index.ts";
import { checkedSize } from "../image/load.ts";
import { formatOf } from "../image/to-png.ts";
import { Failure } from "./failure.ts";

/** Bytes of a PNG, JPEG or WebP file. */
export type PictureBytes = Uint8Array;

/** The smallest accepted picture, in one colour, for the document. */
export const samplePicture =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAMAAADz0U65AAAAA1BMVEUzqncb3tbvAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVQI12NgoA4AAABIAAH/myMhAAAAAElFTkSuQmCC";

const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** A picture in JSON: a data URL, or plain base64. */
export const jsonPicture = z
  .string()
  .transform((text, context): PictureBytes => {
    const issue = (message: string) => {
      context.issues.push({ code: "custom", message, input: text.slice(0, 40) });
      return z.NEVER;
    };
    const trimmed = text.trim();
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed))
      return issue(
        "expected a data URL, got an address (the server does not fetch URLs: send the picture itself)",
      );
    const data = /^data:[^,]*;base64,/i.exec(trimmed)?.[0];
    const rest = trimmed.slice(data?.length ?? 0);
    if (trimmed.startsWith("data:") && data === undefined)
      return issue("expected a data URL in base64, as data:image/png;base64,…");
    if (rest.length === 0 || !base64.test(rest)) return issue("expected base64, got something else");
    return Buffer.from(rest, "base64");
  })
  .meta({
    description: "A PNG, JPEG or WebP: a data URL, or plain base64. Other URLs are refused.",
    pattern: "^(data:image/(png|jpeg|webp);base64,)?[A-Za-z0-9+/]+={0,2}$",
    examples: [samplePicture],
  });

/** A picture in a form: a file, whose bytes have been read already. */
export const formPicture = z
  .custom<PictureBytes>((value) => value instanceof Uint8Array, "expected a file, got text")
  .meta({ description: "A PNG, JPEG or WebP file.", type: "string", format: "binary" });

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** @throws Failure for a picture with more pixels than the limit; XPromptError for an unreadable one */
export async function checkPicture(bytes: PictureBytes, param: string, mostPixels: number): Promise<Size> {
  const size = await sizeOf(bytes, param);
  if (size.width * size.height > mostPixels)
    throw new Failure(
      413,
      `reading ${param}: expected at most ${mostPixels / 1e6} megapixels, got ${size.width} × ${size.height} (make it smaller first)`,
      { param, code: "image_too_large" },
    );
  return size;
}

/**
 * Checks a mask to its last row: a broken one would else be found after all pictures are drawn.
 * @throws Failure and XPromptError as `checkPicture`
 */
export async function checkMask(mask: PictureBytes, mostPixels: number): Promise<void> {
  const size = await checkPicture(mask, "mask", mostPixels);
  await alphaOf(mask, size).catch(() => {
    throw refused("mask", "a broken one");
  });
}

async function sizeOf(bytes: PictureBytes, param: string): Promise<Size> {
  if (!["png", "jpeg", "webp"].includes(formatOf(bytes))) throw refused(param, "something else");
  return checkedSize(bytes, `reading ${param}`).catch((error: unknown) => {
    throw error instanceof XPromptError ? error : refused(param, "a broken one");
  });
}

const refused = (param: string, got: string) =>
  new Failure(
    400,
    `reading ${param}: expected a complete PNG, JPEG or WebP image, got ${got} (send another)`,
    { param, code: "invalid_image" },
  );

/** Scales a picture and crops its centre to exactly this size. */
export async function fitTo(image: Image | ByteImage, { width, height }: Size): Promise<ByteImage> {
  if (image.width === width && image.height === height) return { width, height, data: toBytes(image) };
  const data = await sharpOf(image)
    .resize(width, height, { fit: "cover", kernel: "lanczos3" })
    .raw()
    .toBuffer();
  return { width, height, data };
}

/** The result where the mask is transparent, the original elsewhere. The result has the original's size. */
export async function applyMask(
  result: ByteImage,
  original: PictureBytes,
  mask: PictureBytes,
): Promise<ByteImage> {
  const { width, height } = result;
  const { data: before } = await loadBytes(original, { name: "image" });
  const alpha = await alphaOf(mask, result);
  const data = new Uint8Array(result.data.length);
  for (let i = 0; i < data.length; i++) {
    const keep = alpha[Math.floor(i / 3)]! / 255;
    data[i] = Math.round(keep * before[i]! + (1 - keep) * result.data[i]!);
  }
  return { width, height, data };
}

/** How opaque a mask is, scaled to a size: `[height · width]`, 0 to 255. @throws Error for a broken mask */
const alphaOf = (mask: PictureBytes, { width, height }: Size): Promise<Buffer> =>
  sharp(mask, { failOn: "error", limitInputPixels: maxPixels })
    .autoOrient()
    .ensureAlpha()
    .extractChannel("alpha")
    .resize(width, height, { fit: "fill" })
    .raw()
    .toBuffer();

const extensions = { png: ".png", jpeg: ".jpg", webp: ".webp" } as const;
export type Format = keyof typeof extensions;
export const formats = Object.keys(extensions) as [Format, ...Format[]];

/** A picture as base64. `about` is stored in the file as text. */
export async function encoded(
  image: Image | ByteImage,
  { format, quality, about }: { readonly format: Format; readonly quality?: number; readonly about?: object },
): Promise<string> {
  const text = about && { Software: "xprompt", xprompt: JSON.stringify(about) };
  const bytes = await encodeImage(`the picture${extensions[format]}`, image, { text, quality });
  return bytes.toString("base64");
}
