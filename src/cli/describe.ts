/** @file `xprompt describe`: describes the change of an example pair in words. */
import { Command } from "commander";
import { slotsOf } from "../chameleon/model/cache.ts";
import { UsageError } from "../errors.ts";
import { describeSchema } from "../xprompt/request.ts";
import { loadModel } from "./load.ts";
import { checkDevice, examplesOf, type ModelOptions, withExamples, withModel } from "./options.ts";
import { oneLine, print, printJson } from "./output.ts";
import { withSettings } from "./setting-options.ts";

interface Options extends ModelOptions {
  readonly example?: readonly string[];
  readonly seed: number;
  readonly temperature: number;
  readonly json: boolean;
}

export function describeCommand(signal: AbortSignal): Command {
  const command = new Command("describe").description(
    "Describe the change from the first picture of a pair to the second; for several pairs, their common change.",
  );
  return withSettings(withModel(withExamples(command)), describeSchema)
    .option("--json", "print one JSON object on standard output", false)
    .action((options: Options) => describe(options, signal));
}

async function describe(options: Options, signal: AbortSignal): Promise<void> {
  const examples = examplesOf(options.example);
  if (examples.length === 0) throw new UsageError("describe: expected at least one --example, got none");
  checkDevice(options.device);
  const model = await loadModel(options);
  try {
    const { seed, temperature } = options;
    const started = performance.now();
    const prompt = await model.compress(examples, { signal });
    const compressed = performance.now();
    const text = await model.describe({ prompt }, { seed, temperature, signal });
    const ended = performance.now();
    if (!options.json) return await print(oneLine(text));
    await printJson({
      text,
      examples: examples.length,
      model: model.fingerprint,
      ...{ seed, temperature },
      tokens: {
        examples: slotsOf(prompt.blocks),
        text: model.tokenizer.encodeText(text).length,
      },
      timings: { compress: compressed - started, describe: ended - compressed, total: ended - started },
    });
  } finally {
    await model.release();
  }
}
