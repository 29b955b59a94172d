/** @file The format of a picture file, and its conversion to PNG, for formats that models do not read, such as TIFF. */
import sharp from "sharp";
import { maxPixels } from "./limits.ts";

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
