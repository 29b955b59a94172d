/** @file Pictures in the forms that users pass. */
import { UsageError } from "../errors.ts";
import { pathOfUrl } from "../runtime/files.ts";
import { checkValues } from "./check-values.ts";
import { type ByteImage, fromBytes, type Image } from "./image.ts";
import { checkSize, type LoadOptions, loadImage } from "./load.ts";
import { crop, resize } from "./resize.ts";

/**
 * A picture: decoded, also a result of `generate`; the bytes of a PNG, JPEG or WebP file, also as a Blob or File; or the
 * location of a file, as a path or a `file:` URL. Other sizes are cropped to a square.
 */
export type Picture = Image | ByteImage | Uint8Array | ArrayBuffer | Blob | URL | string;

/**
 * A picture of `size` × `size` pixels, in [0, 1], from the middle of a larger one; without a size it keeps its own.
 * @param options `name`: the option that holds the picture, for errors
 * @throws XPromptError for a file that cannot be read, a decoded picture with too few values, or a size that `loadImage`
 * rejects; UsageError for something else
 */
export async function loadPicture(picture: Picture, options: LoadOptions = {}): Promise<Image> {
  const source = await sourceOf(picture, options.name);
  if (typeof source === "string" || source instanceof Uint8Array)
    return loadImage(source, { ...options, name: typeof source === "string" ? source : options.name });
  const { size } = options;
  const { width, height } = source;
  const isWhole = size === undefined || (width === size && height === size);
  if (!isWhole) checkSize(width, height, doingOf(options.name));
  const image = source.data instanceof Uint8Array ? fromBytes(width, height, source.data) : (source as Image);
  if (isWhole) return image;
  const edge = Math.min(width, height);
  const square = crop(image, (width - edge) >> 1, (height - edge) >> 1, edge, edge);
  return resize(square, size, size, "lanczos");
}

/**
 * The source of a picture: a path, the bytes of a file, or a decoded picture.
 * @throws XPromptError for a decoded picture with a wrong number of values, or with others than colours; UsageError
 * for something else than a picture
 */
export async function sourceOf(
  picture: Picture,
  name?: string,
): Promise<string | Uint8Array | Image | ByteImage> {
  if (typeof picture === "string" || picture instanceof Uint8Array) return picture;
  if (picture instanceof ArrayBuffer) return new Uint8Array(picture);
  if (picture instanceof Blob) return new Uint8Array(await picture.arrayBuffer());
  if (picture instanceof URL) return pathOfUrl(picture, doingOf(name));
  if (picture?.data instanceof Float32Array || picture?.data instanceof Uint8Array) {
    checkValues(picture, doingOf(name));
    return picture;
  }
  throw new UsageError(
    `${doingOf(name)}: expected a path, a file: URL, the bytes of a file, a Blob, or an Image, got something else`,
  );
}

const doingOf = (name: string | undefined): string => `using ${name ?? "a picture"}`;
