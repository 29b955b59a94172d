/** @file A temporary library, and an embedder with known vectors. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { encodePng } from "../../src/image/encode-png.ts";
import { Random } from "../../src/random.ts";
import type { Embedder, NewExample } from "../../src/retrieval/index.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";

/** A folder that is removed after the tests of the file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-library-"));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An example with different pictures for each name. */
export async function example(name: string, instruction: string): Promise<NewExample> {
  const [input, output] = [await picture(`${name} before`), await picture(`${name} after`)];
  return { input, output, instruction, source: "test", subtask: "kind", licence: "CC0" };
}

export const picture = (name: string): Promise<Buffer> => encodePng(somePicture(name));

/** Embeds texts by their words, one axis per word, and all pictures in one place. */
const words = ["rain", "red", "ball", "remove", "add", "dark"];
export const wordEmbedder: Embedder = {
  space: "test-words",
  textWidth: words.length,
  imageWidth: 2,
  text: async (instruction) => {
    const counts = words.map((word) => (instruction.includes(word) ? 1 : 0));
    const length = Math.hypot(...counts) || 1;
    return Float32Array.from(counts, (count) => count / length);
  },
  image: async () => Float32Array.of(1, 0),
};

/** Random directions. */
export function directions(name: string, count: number, width: number): Float32Array[] {
  const random = Random.of("directions", name);
  return Array.from({ length: count }, () => {
    const vector = Float32Array.from({ length: width }, () => random.normal());
    const length = Math.hypot(...vector);
    return vector.map((x) => x / length);
  });
}
