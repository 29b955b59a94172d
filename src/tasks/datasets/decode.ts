/** @file Decodes records: square pictures of one size, maps in colours. A broken picture is a defect of the record. */
import { readFile, stat } from "node:fs/promises";
import { messageOf, UsageError } from "../../errors.ts";
import type { Image } from "../../image/image.ts";
import { loadWithTiff } from "../../image/to-png.ts";
import { attempt } from "../../runtime/files.ts";
import { Defect, type LoadedPair, type PairRecord, type Picture } from "./record.ts";
import { type Paint, renderMap } from "./render.ts";

/** The most bytes of an encoded picture. */
const maxBytes = 256 * 2 ** 20;

/**
 * Decodes the pictures of a pair, crops them to the central square and scales them to `size` × `size` pixels.
 * @param paint colours of the outputs, if these are maps
 * @throws Defect for a picture that is missing, broken, of an unsupported format, too small or too large
 */
export async function decodePair(record: PairRecord, size: number, paint?: Paint): Promise<LoadedPair> {
  const { input, output, ...texts } = record;
  const [decodedInput, decodedOutput] = await Promise.all([
    input === undefined ? undefined : decode(input, size, record.id),
    decode(output, size, record.id, paint),
  ]);
  return { ...texts, ...(decodedInput && { input: decodedInput }), output: decodedOutput };
}

async function decode(picture: Picture, size: number, id: string, paint?: Paint): Promise<Image> {
  const bytes = typeof picture === "string" ? await readPicture(picture, id) : picture;
  if (bytes.length > maxBytes) {
    throw new Defect("picture", id, `expected at most ${maxBytes} bytes, got ${bytes.length}`);
  }
  try {
    if (paint) return await renderMap(bytes, size, paint);
    return await loadWithTiff(bytes, { size, name: "of the record" });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new Defect("picture", id, messageOf(error));
  }
}

/** A missing file is a defect of the record; a disk failure is an error. */
async function readPicture(path: string, id: string): Promise<Buffer> {
  return attempt(`reading picture ${path}`, path, async () => {
    try {
      const { size } = await stat(path);
      if (size <= maxBytes) return await readFile(path);
      throw new Defect("picture", id, `expected at most ${maxBytes} bytes, got ${size}`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR")
        throw new Defect("missing", id, `there is no file ${path}`);
      if (code === "EISDIR") throw new Defect("missing", id, `${path} is a folder`);
      throw error;
    }
  });
}
