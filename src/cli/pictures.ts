/** @file Writing what was drawn, with what is needed to make it again. */
import { rm } from "node:fs/promises";
import { type ByteImage, type Image, saveImage } from "../image/index.ts";

export interface PictureToWrite {
  readonly path: string;
  readonly image: Image | ByteImage;
  /** The request, for the file's text. */
  readonly about: object;
}

/** Writes the pictures, all or none. */
export async function writePictures(pictures: readonly PictureToWrite[], signal: AbortSignal): Promise<void> {
  const written: string[] = [];
  try {
    for (const { path, image, about } of pictures) {
      const text = { Software: "xprompt", xprompt: JSON.stringify(about) };
      await saveImage(path, image, { text, signal });
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    throw error;
  }
}
