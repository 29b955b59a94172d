/** @file Results at the size and shape of the input picture. */
import { XPromptError } from "../errors.ts";
import { changedStrips } from "../image/apply-change.ts";
import { type ChangeSource, changeOf } from "../image/full-size.ts";
import { type ByteImage, type Image, toBytes } from "../image/image.ts";
import { maxPixels } from "../image/limits.ts";
import { checkSize, loadBytes, squeeze } from "../image/load.ts";
import { type Picture, sourceOf } from "../image/picture.ts";
import { soon } from "../runtime/soon.ts";

/** The most pixels of all results of one request together (768 MB). */
export const MAX_TOTAL = 4 * maxPixels;

/** The picture to change: at its own size, and squeezed to the square that the model sees. */
export interface Original {
  readonly original: ByteImage;
  readonly query: Image;
}

/**
 * Reads the picture of a request at its own size, and as the square that the model sees.
 * @param size edge of the square, in pixels
 * @param samples number of results
 * @throws XPromptError for a picture that cannot be read, has a size that `loadImage` rejects, or is too large for so
 * many results
 */
export async function loadOriginal(picture: Picture, size: number, samples: number): Promise<Original> {
  const source = await sourceOf(picture, "input");
  const isFile = typeof source === "string" || source instanceof Uint8Array;
  const name = typeof source === "string" ? source : "input";
  const original = isFile ? await loadBytes(source, { name }) : bytesOf(source);
  const { width, height } = original;
  if (samples * width * height > MAX_TOTAL)
    throw new XPromptError(
      `generating at full size: expected at most ${MAX_TOTAL / 1e6} megapixels over all samples, got ${samples} of ${width} × ${height} (request fewer samples at a time)`,
    );
  return { original, query: await squeeze(original, size) };
}

function bytesOf(picture: Image | ByteImage): ByteImage {
  const { width, height, data } = picture;
  checkSize(width, height, "using input");
  return data instanceof Uint8Array
    ? { width, height, data }
    : { width, height, data: toBytes({ width, height, data }) };
}

/**
 * Applies the change to the original.
 * @throws the signal's reason when it is aborted
 */
export type FullSize = (original: Original, source: ChangeSource, signal?: AbortSignal) => Promise<ByteImage>;

/** Applies the change in the calling thread. Yields to other work between strips of the picture. */
export const atFullSize: FullSize = async ({ original, query }, source, signal) => {
  const { width, height } = original;
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  for (const strip of changedStrips(changeOf(source, { original, query }), original)) {
    data.set(strip, at);
    at += strip.length;
    await new Promise<void>(soon);
    signal?.throwIfAborted();
  }
  return { width, height, data };
};
