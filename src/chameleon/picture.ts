/** @file Pictures as users give them. */
import { UsageError, XPromptError } from "../errors.ts";
import { type Image, loadImage } from "../image/index.ts";

/** A picture: decoded, as the bytes of a PNG, JPEG or WebP file, or the path of one. Other sizes are cropped to a square. */
export type Picture = Image | Uint8Array | string;

/**
 * A picture of `size` × `size` pixels, in [0, 1]; without a size, as large as it is.
 * @throws XPromptError for a file that can not be read, or an image of another size
 */
export async function loadPicture(picture: Picture, size?: number): Promise<Image> {
  if (typeof picture === "string" || picture instanceof Uint8Array) return loadImage(picture, { size });
  if (!(picture?.data instanceof Float32Array))
    throw new UsageError(
      "using a picture: expected a path, the bytes of a file, or an Image, got something else",
    );
  const { width, height, data } = picture;
  if ((size === undefined || (width === size && height === size)) && data.length === 3 * width * height)
    return picture;
  const [expected, advice] =
    size === undefined
      ? [`${3 * width * height} values`, "three for each pixel"]
      : [`${size} × ${size} pixels`, `load it with loadImage(path, { size: ${size} })`];
  throw new XPromptError(
    `using a picture: expected ${expected}, got ${width} × ${height} with ${data.length} values (${advice})`,
  );
}
