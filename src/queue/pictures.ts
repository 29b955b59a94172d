/**
 * @file Pictures in jobs: the bytes of a file, or pixels. Pixels come out as they went in, to the last bit, so that a
 * worker computes what the submitter would compute. Paths never travel.
 */
import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import { z } from "zod";
import { firstLineOf, XPromptError } from "../errors.ts";
import { type ByteImage, encodePng, fromBytes, type Image, loadBytes, toBytes } from "../image/index.ts";
import { maxPixels } from "../image/limits.ts";
import { type Picture, sourceOf } from "../image/picture.ts";
import { readFileChecked } from "../runtime/files.ts";

/** Most bytes of the file of one picture. */
export const MAX_PICTURE = 32 * 2 ** 20;
/** Most pixels along a side of a picture that is sent as pixels. */
const MAX_EDGE = 16_384;

const edge = z.int().min(1).max(MAX_EDGE);
/** Base64 of at most so many bytes. */
export const bytesOf = (most: number) => z.string().max(Math.ceil((most * 4) / 3) + 4);

export const packedPicture = z.union([
  /** A PNG, JPEG or WebP file. */
  z.strictObject({ file: bytesOf(MAX_PICTURE) }),
  /** Pixels in 8 bits, as a PNG. */
  z.strictObject({ png: bytesOf(MAX_PICTURE) }),
  /** Pixels as deflated 32-bit numbers, `[height, width, 3]`, for values between those of 8 bits. */
  z.strictObject({ width: edge, height: edge, floats: bytesOf(MAX_PICTURE) }),
]);
export type PackedPicture = z.output<typeof packedPicture>;

/** @param name of the picture, for errors. @throws XPromptError for a file that cannot be read or is too large */
export async function packPicture(picture: Picture, name: string): Promise<PackedPicture> {
  const source = await sourceOf(picture, name);
  if (typeof source === "string" || source instanceof Uint8Array) {
    const bytes = typeof source === "string" ? await readFileChecked(source, "picture") : source;
    if (bytes.length > MAX_PICTURE)
      throw new XPromptError(
        `sending ${name}: expected a file of at most ${MAX_PICTURE} bytes, got ${bytes.length} (make the picture smaller)`,
      );
    return { file: Buffer.from(bytes).toString("base64") };
  }
  const { width, height, data } = source;
  if (data instanceof Uint8Array) return packInBytes(source);
  if (fromBytes(width, height, toBytes({ width, height, data })).data.every((value, i) => value === data[i]))
    return packInBytes(source);
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { width, height, floats: (await promisify(deflateRaw)(raw)).toString("base64") };
}

/** A picture, rounded to 8 bits. */
export async function packInBytes(image: Image | ByteImage): Promise<{ png: string }> {
  return { png: (await encodePng(image)).toString("base64") };
}

/** A picture as the model's methods take it. @throws XPromptError for data that is no picture, or too large a one */
export async function unpackPicture(packed: PackedPicture, name: string): Promise<Image | Uint8Array> {
  if ("file" in packed) return Buffer.from(packed.file, "base64");
  if ("png" in packed) {
    const { width, height, data } = await unpackBytes(packed, name);
    return fromBytes(width, height, data);
  }
  const { width, height, floats } = packed;
  if (width * height > maxPixels) return refuse(name, `at most ${maxPixels} pixels`, `${width} × ${height}`);
  const wanted = 4 * 3 * width * height;
  const raw = await promisify(inflateRaw)(Buffer.from(floats, "base64"), { maxOutputLength: wanted }).catch(
    (error: unknown) => refuse(name, `${width} × ${height} pixels`, firstLineOf(error)),
  );
  if (raw.length !== wanted) return refuse(name, `${wanted} bytes`, `${raw.length} bytes`);
  const data = new Float32Array(new Uint8Array(raw).buffer);
  if (!data.every((value) => value >= 0 && value <= 1)) return refuse(name, "values from 0 to 1", "others");
  return { width, height, data };
}

/** A picture in 8 bits. @throws XPromptError for data that is no PNG */
export function unpackBytes({ png }: { readonly png: string }, name: string): Promise<ByteImage> {
  return loadBytes(Buffer.from(png, "base64")).catch((error: unknown) =>
    refuse(name, "a PNG", firstLineOf(error)),
  );
}

function refuse(name: string, expected: string, got: string): never {
  throw new XPromptError(`reading ${name} of a job: expected ${expected}, got ${got}`);
}
