/** @file Writing generated pictures, each with what is needed to make it again. */
import { basename } from "node:path";
import { type ByteImage, encodeImage, type Image } from "../image/index.ts";
import { writeFilesAtomic } from "../runtime/files.ts";

export interface PictureToWrite {
  readonly path: string;
  readonly image: Image | ByteImage;
  /** The request, for the file's text. */
  readonly about: object;
}

/** What a picture's text calls a file or folder: its name. Its folders are the user's own affair. */
export const nameOf = (path: string): string => basename(path);

/** Writes the pictures, all or none: nothing that was there is touched until all are whole on the disk. */
export async function writePictures(pictures: readonly PictureToWrite[], signal: AbortSignal): Promise<void> {
  const files = pictures.map(({ path, image, about }) => ({ path, data: encoded(path, image, about) }));
  await writeFilesAtomic(files, { signal });
}

/** The file's bytes, encoded when its turn comes. */
async function* encoded(path: string, image: Image | ByteImage, about: object): AsyncGenerator<Uint8Array> {
  yield await encodeImage(path, image, { text: { Software: "xprompt", xprompt: JSON.stringify(about) } });
}
