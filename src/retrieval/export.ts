/** @file Exporting a library as a folder of pairs: `metadata.jsonl` and the pictures, the layout of data sets. */
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatOf } from "../image/to-png.ts";
import { attempt, makeFolder, writeFolderAtomic } from "../runtime/files.ts";
import type { ExampleLibrary } from "./library.ts";

export interface ExportOptions {
  onProgress?(exported: number): void;
  readonly signal?: AbortSignal;
}

/**
 * Writes all examples to a new folder atomically. Pictures are in subfolders by the first two digits of the id.
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
        for (const { id, input, output: after, pictures: _, ...facts } of examples) {
          const home = id.slice(0, 2);
          await makeFolder(join(folder, home));
          const names = [`${home}/${id}.before.${endingOf(input)}`, `${home}/${id}.after.${endingOf(after)}`];
          await writeFile(join(folder, names[0]!), input);
          await writeFile(join(folder, names[1]!), after);
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

const endingOf = (bytes: Uint8Array): string => (formatOf(bytes) === "jpeg" ? "jpg" : "png");
