/** @file Exporting a library as a folder of pairs: `metadata.jsonl` and the pictures, the layout of data sets. */
import { existsSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatOf } from "../image/to-png.ts";
import { attempt, makeFolder, writeFolderAtomic } from "../runtime/files.ts";
import { picturesOf } from "./example.ts";
import type { ExampleLibrary } from "./library.ts";

export interface ExportOptions {
  onProgress?(exported: number): void;
  readonly signal?: AbortSignal;
}

/**
 * Writes all examples to a new folder atomically. Pictures are named by their content, in subfolders by the first two
 * digits: one that several examples share is one file, so that a reader keeps these examples together.
 * @returns the number of examples
 * @throws XPromptError when the file system refuses, or an example is damaged
 */
export async function exportExamples(
  library: ExampleLibrary,
  output: string,
  { onProgress, signal }: ExportOptions = {},
): Promise<number> {
  let exported = 0;
  const doing = `exporting to ${output}`;
  const fill = async (folder: string): Promise<void> => {
    const list = await open(join(folder, "metadata.jsonl"), "w");
    try {
      for await (const examples of library.examples()) {
        signal?.throwIfAborted();
        for (const { id, input, output: after, pictures, ...facts } of examples) {
          const [before, changed] = picturesOf({ pictures });
          const names = [
            await writePicture(folder, before, input),
            await writePicture(folder, changed, after),
          ];
          const line = { id, input_file_name: names[0], output_file_name: names[1], ...facts };
          await list.write(`${JSON.stringify(line)}\n`);
        }
        exported += examples.length;
        onProgress?.(exported);
      }
    } finally {
      await list.close();
    }
  };
  await writeFolderAtomic(output, (folder) => attempt(doing, output, () => fill(folder)), { signal });
  return exported;
}

/** @returns the path of the picture in the folder */
async function writePicture(folder: string, name: string, bytes: Uint8Array): Promise<string> {
  const home = name.slice(0, 2);
  const path = `${home}/${name}.${endingOf(bytes)}`;
  if (existsSync(join(folder, path))) return path;
  await makeFolder(join(folder, home));
  await writeFile(join(folder, path), bytes);
  return path;
}

const endingOf = (bytes: Uint8Array): string => (formatOf(bytes) === "jpeg" ? "jpg" : "png");
