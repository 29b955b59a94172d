/** @file `xprompt export`: a model as a folder that Hugging Face's transformers loads. */
import { join } from "node:path";
import { Command } from "commander";
import { exportHuggingFace, floatDtype } from "../chameleon/export-huggingface.ts";
import { TextTokenizer } from "../chameleon/text-tokenizer.ts";
import { readJson } from "../runtime/files.ts";
import { openWeights } from "../runtime/weights.ts";
import { checkParts } from "../xprompt/check-parts.ts";
import { modelConfigFromJson, modelConfigSchema } from "../xprompt/config.ts";
import { resolveModel } from "../xprompt/models.ts";
import { printJson, say } from "./output.ts";

interface Options {
  readonly output: string;
  readonly json: boolean;
}

export function exportCommand(signal: AbortSignal): Command {
  return new Command("export")
    .description("Write a model as a folder that Hugging Face's transformers loads.")
    .argument("<model>", "a shipped model's name, or a model folder")
    .requiredOption("--output <folder>", "the folder to write: a new one, or an empty one")
    .option("--json", "print one JSON object on standard output", false)
    .action((model: string, options: Options) => exportModel(model, options, signal));
}

async function exportModel(model: string, { output, json }: Options, signal: AbortSignal): Promise<void> {
  const folder = await resolveModel(model);
  await checkWhole(folder);
  const { parameters, widening, dtype, encoderTile } = await exportHuggingFace(folder, output, { signal });
  if (json) await printJson({ output, model: folder, parameters, widening, dtype, encoderTile });
  else {
    const wider =
      widening === 1 ? "" : `; the image tokenizer ${widening} times as wide, for norms of 32 groups`;
    say(`wrote ${output}: ${parameters.written} numbers in ${dtype}${wider}`);
    if (encoderTile !== undefined)
      say(
        `its image tokenizer reads tiles of ${encoderTile} pixels one by one: cut pictures into them before transformers encodes them (see docs/export.md)`,
      );
  }
}

/** @throws XPromptError when the parts of a model are missing, do not belong together, or are quantized */
async function checkWhole(folder: string): Promise<void> {
  const weights = await openWeights(folder);
  try {
    floatDtype(weights);
    const config = await readJson(join(folder, "config.json"), modelConfigSchema, "model config");
    const { vocabulary } = await TextTokenizer.load(join(folder, "tokenizer.json"));
    checkParts(modelConfigFromJson(config), vocabulary, weights.tensors);
  } finally {
    await weights.close();
  }
}
