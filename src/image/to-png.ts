/** @file Formats that `loadImage` does not read, such as TIFF: they become PNG first. */
import sharp from "sharp";
import type { Image } from "./image.ts";
import { maxPixels } from "./limits.ts";
import { checkedSize, type LoadOptions, loadImage, reading, whole } from "./load.ts";

/** The format of a picture, from its first bytes. */
export function formatOf(bytes: Uint8Array): "png" | "jpeg" | "webp" | "tiff" | "other" {
  const beginning = Buffer.from(bytes.subarray(0, 12)).toString("latin1");
  if (beginning.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (beginning.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^RIFF....WEBP/s.test(beginning)) return "webp";
  return /^(II\*\0|MM\0\*)/.test(beginning) ? "tiff" : "other";
}

/**
 * A PNG of the picture, upright and in sRGB: retouched photographs are TIFF files in various colour spaces.
 * @param compressionLevel from 0, fastest, to 9
 * @throws Error of sharp for a broken picture
 */
export const toPng = (bytes: Uint8Array, compressionLevel = 6): Promise<Buffer> =>
  sharp(bytes, { failOn: "error", limitInputPixels: maxPixels })
    .autoOrient()
    .toColourspace("srgb")
    .png({ compressionLevel })
    .toBuffer();

/** As `loadImage`, of TIFF files, too. @throws as `loadImage` */
export async function loadWithTiff(bytes: Uint8Array, options: LoadOptions): Promise<Image> {
  if (formatOf(bytes) !== "tiff") return loadImage(bytes, options);
  const doing = reading(options.name);
  const png = await whole(doing, async () => {
    await checkedSize(bytes, doing);
    return toPng(bytes, 0);
  });
  return loadImage(png, options);
}
