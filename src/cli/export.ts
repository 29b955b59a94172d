/** @file `xprompt export`: writes a model in the layout of Hugging Face's transformers. */
import { Command } from "commander";
import { exportHuggingFace } from "../chameleon/checkpoint/export-huggingface.ts";
import { checkFolder } from "../xprompt/check-folder.ts";
import { resolveModel } from "../xprompt/models.ts";
import { ByteProgress, LARGE } from "./byte-progress.ts";
import { printJson, say } from "./output.ts";

interface Options {
  readonly output: string;
  readonly json: boolean;
}

export function exportCommand(signal: AbortSignal): Command {
  return new Command("export")
    .description("Write a model as a folder that Hugging Face's transformers loads.")
    .argument("<model>", "a shipped model's name, or a model folder")
    .requiredOption("--output <folder>", "the folder to write; it must be new or empty")
    .option("--json", "print one JSON object on standard output", false)
    .action((model: string, options: Options) => exportModel(model, options, signal));
}

async function exportModel(model: string, { output, json }: Options, signal: AbortSignal): Promise<void> {
  const folder = await resolveModel(model);
  await checkFolder(folder);
  const progress = new ByteProgress(LARGE);
  const { parameters, widening, dtype, encoderTile } = await exportHuggingFace(folder, output, {
    signal,
    onProgress: (done, total) => progress.update("writing", done, total),
  }).finally(() => progress.stop());
  if (json) await printJson({ output, model: folder, parameters, widening, dtype, encoderTile });
  else {
    const wider =
      widening === 1 ? "" : `; the image tokenizer ${widening} times as wide, for norms of 32 groups`;
    say(`wrote ${output}: ${parameters.written} numbers in ${dtype}${wider}`);
    if (encoderTile !== undefined)
      say(
        `its image tokenizer encodes tiles of ${encoderTile} pixels independently: cut pictures into tiles before transformers encodes them (see docs/export.md)`,
      );
  }
}
