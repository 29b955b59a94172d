/** @file Small data sets on disk for the tests of this folder. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { onTestFinished } from "vitest";
import type { LoadedPair } from "../../../src/tasks/datasets/index.ts";

export const fixture = (name: string): string =>
  join(import.meta.dirname, "..", "..", "fixtures", "datasets", name);

/** A new folder that is removed after the test. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-datasets-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A picture of one colour, in the format of the name's extension. */
export async function plainPicture(
  name: string,
  [r, g, b]: readonly number[] = [0, 0, 0],
  width = 16,
  height = 16,
): Promise<Buffer> {
  const picture = sharp({ create: { width, height, channels: 3, background: { r: r!, g: g!, b: b! } } });
  if (name.endsWith(".tif")) return picture.tiff().toBuffer();
  return name.endsWith(".jpg") ? picture.jpeg().toBuffer() : picture.png().toBuffer();
}

export type Files = Readonly<Record<string, string | Uint8Array | readonly number[]>>;

/** Writes files below a folder: texts, bytes, or pictures of one colour. Returns the folder. */
export async function writeFiles(files: Files, folder?: string): Promise<string> {
  const root = folder ?? (await newFolder());
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    const plain = typeof content === "string" || content instanceof Uint8Array;
    await writeFile(path, plain ? content : await plainPicture(name, content as readonly number[]));
  }
  return root;
}

/** `count` pairs `00.before.png`, …: the number is the input's red, and also the output's green. */
export const manyPairs = (count: number): Files =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => i).flatMap((i) => {
      const name = String(i).padStart(2, "0");
      return [
        [`${name}.before.png`, [i, 0, 0]],
        [`${name}.after.png`, [i, 255, 0]],
      ] as const;
    }),
  );

/** The first pixel of a picture, 0 to 255. */
export const colorOf = (image: LoadedPair["output"] | undefined): number[] | undefined =>
  image && [...image.data.subarray(0, 3)].map((value) => Math.round(value * 255));

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
