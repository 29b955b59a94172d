/** @file Writing generated pictures, each with the settings that reproduce it. */
import { basename, dirname } from "node:path";
import { type ByteImage, encodeImage, type Image } from "../image/index.ts";
import { makeFolder, writeFilesAtomic } from "../runtime/files.ts";
import { STANDARD } from "./inputs.ts";
import { printBytes } from "./output.ts";

export interface PictureToWrite {
  readonly path: string;
  readonly image: Image | ByteImage;
  /** The request, stored as text in the file. */
  readonly about: object;
}

/** The name of a file or folder without its parent folders, which are private. */
export const nameOf = (path: string): string => basename(path);

/** Writes all pictures or none: existing files are replaced once all new ones are complete on disk. */
export async function writePictures(pictures: readonly PictureToWrite[], signal: AbortSignal): Promise<void> {
  if (pictures[0]?.path === STANDARD) return writeStandard(pictures[0]);
  for (const folder of new Set(pictures.map(({ path }) => dirname(path)))) await makeFolder(folder);
  const files = pictures.map(({ path, image, about }) => ({ path, data: encoded(path, image, about) }));
  await writeFilesAtomic(files, { signal });
}

/** Writes a picture to standard output as PNG. */
async function writeStandard({ image, about }: PictureToWrite): Promise<void> {
  for await (const bytes of encoded("picture.png", image, about)) await printBytes(bytes);
}

/** Encodes the picture when the file is written, one at a time. */
async function* encoded(path: string, image: Image | ByteImage, about: object): AsyncGenerator<Uint8Array> {
  yield await encodeImage(path, image, { text: { Software: "xprompt", xprompt: JSON.stringify(about) } });
}
