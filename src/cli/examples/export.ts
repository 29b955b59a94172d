/** @file `xprompt examples export`: writes all examples to a folder of pairs. */
import type { Command } from "commander";
import { Progress } from "../../progress.ts";
import { ExampleLibrary, exportExamples } from "../../retrieval/index.ts";
import { counted, printJson, say } from "../output.ts";
import { type LibraryOptions, named } from "./shared.ts";

interface ExportOptions extends LibraryOptions {
  readonly output: string;
}

export const exportCommand = (signal: AbortSignal): Command =>
  named("export", "Write all examples to a folder of pairs, which examples add and training can read.")
    .requiredOption("--output <dir>", "the new folder")
    .action((options: ExportOptions) => exportAll(options, signal));

async function exportAll(
  { library: place, output, json }: ExportOptions,
  signal: AbortSignal,
): Promise<void> {
  await using library = await ExampleLibrary.open(place);
  const progress = new Progress({ label: "exporting", total: await library.count(), unit: "examples" });
  const exported = await exportExamples(library, output, {
    signal,
    onProgress: (count) => progress.update(count),
  }).finally(() => progress.stop());
  if (json) await printJson({ library: place, output, exported });
  else say(`wrote ${counted(exported, "pair")} to ${output}`);
}
