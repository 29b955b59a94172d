/** @file Pictures in the forms that users pass. */
import { UsageError, XPromptError } from "../errors.ts";
import { pathOfUrl } from "../runtime/files.ts";
import type { Image } from "./image.ts";
import { type LoadOptions, loadImage } from "./load.ts";

/**
 * A picture: decoded; the bytes of a PNG, JPEG or WebP file, also as a Blob or File; or the location of a file, as a
 * path or a `file:` URL. Other sizes are cropped to a square.
 */
export type Picture = Image | Uint8Array | ArrayBuffer | Blob | URL | string;

/**
 * A picture of `size` × `size` pixels, in [0, 1]; without a size it keeps its own.
 * @param options `name`: the option that holds the picture, for errors
 * @throws XPromptError for a file that cannot be read, or an image of another size; UsageError for something else
 */
export async function loadPicture(picture: Picture, options: LoadOptions = {}): Promise<Image> {
  const source = await sourceOf(picture, options.name);
  if (typeof source === "string" || source instanceof Uint8Array)
    return loadImage(source, { ...options, name: typeof source === "string" ? source : options.name });
  const { size } = options;
  const { width, height, data } = source;
  if ((size === undefined || (width === size && height === size)) && data.length === 3 * width * height)
    return source;
  const [expected, advice] =
    size === undefined
      ? [`${3 * width * height} values`, "three for each pixel"]
      : [`${size} × ${size} pixels`, `load it with loadImage(path, { size: ${size} })`];
  throw new XPromptError(
    `${doingOf(options.name)}: expected ${expected}, got ${width} × ${height} with ${data.length} values (${advice})`,
  );
}

/** The source of a picture: a path, the bytes of a file, or a decoded picture. @throws UsageError */
export async function sourceOf(picture: Picture, name?: string): Promise<string | Uint8Array | Image> {
  if (typeof picture === "string" || picture instanceof Uint8Array) return picture;
  if (picture instanceof ArrayBuffer) return new Uint8Array(picture);
  if (picture instanceof Blob) return new Uint8Array(await picture.arrayBuffer());
  if (picture instanceof URL) return pathOfUrl(picture, doingOf(name));
  if (picture?.data instanceof Float32Array) return picture;
  throw new UsageError(
    `${doingOf(name)}: expected a path, a file: URL, the bytes of a file, a Blob, or an Image, got something else`,
  );
}

const doingOf = (name: string | undefined): string => `using ${name ?? "a picture"}`;
