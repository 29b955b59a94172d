/** @file `xprompt compress`: compresses examples into a small file. */
import { Command } from "commander";
import { slotsOf } from "../chameleon/model/cache.ts";
import { UsageError } from "../errors.ts";
import { compressed } from "./compressing.ts";
import { loadModel } from "./load.ts";
import {
  checkDevice,
  checkExtension,
  checkOutput,
  examplesOf,
  type ModelOptions,
  withExamples,
  withModel,
} from "./options.ts";
import { counted, printJson, say, sayUnread } from "./output.ts";

interface Options extends ModelOptions {
  readonly example?: readonly string[];
  readonly instruction?: string;
  readonly output: string;
  readonly json: boolean;
}

export function compressCommand(signal: AbortSignal): Command {
  const command = new Command("compress").description(
    "Compress before → after pairs into a small file for generate --prompt.",
  );
  return withModel(withExamples(command))
    .option("--instruction <text>", "what the pairs change, in words")
    .requiredOption("--output <file>", "the .xprompt file to write")
    .option("--json", "print one JSON object on standard output", false)
    .action((options: Options) => compress(options, signal));
}

async function compress(options: Options, signal: AbortSignal): Promise<void> {
  const { example = [], instruction = "", output } = options;
  const examples = examplesOf(example, instruction);
  if (examples.length === 0) throw new UsageError("compress: expected at least one --example, got none");
  checkExtension(output, [".xprompt"]);
  checkDevice(options.device);
  await checkOutput(output, example);
  const model = await loadModel(options);
  try {
    const started = performance.now();
    const prompt = await compressed(model, examples, signal);
    const milliseconds = performance.now() - started;
    await prompt.save(output, { signal });
    const unread = model.unreadTokens(instruction, 2);
    sayUnread(unread);
    const slots = slotsOf(prompt.blocks);
    if (options.json)
      await printJson({
        output,
        model: prompt.model,
        examples: examples.length,
        slots,
        tokens: { examples: slots, unread },
        timings: { total: milliseconds },
      });
    else say(`wrote ${output}: ${counted(examples.length, "example")} in ${slots} cache slots`);
  } finally {
    await model.release();
  }
}
