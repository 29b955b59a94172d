/** @file `xprompt caption`: a vision-language model says in words what the pairs of a data set change. */
import { Command } from "commander";
import { z } from "zod";
import { UsageError } from "../errors.ts";
import { Progress } from "../progress.ts";
import { captionPairs, type PairToCaption } from "../tasks/captioner/captioner.ts";
import { openPairs } from "../tasks/datasets/index.ts";
import { checkExtension, numberFor } from "./options.ts";
import { printJson, say } from "./output.ts";

interface Options {
  readonly server: string;
  readonly captionModel: string;
  readonly output: string;
  readonly size: number;
  readonly concurrency: number;
  readonly retries: number;
  readonly timeout: number;
  readonly limit?: number;
  readonly json: boolean;
}

const whole = (least: number, most: number) =>
  z.int().min(least).max(most).describe(`a whole number from ${least} to ${most}`);

export function captionCommand(signal: AbortSignal): Command {
  return new Command("caption")
    .description(
      "Ask a vision-language model on an OpenAI-compatible server what each pair changes: a description both ways, " +
        "instructions both ways, the kind of change. Answers are kept; a second run goes on where the first stopped. " +
        "The key, if the server wants one, is read from OPENAI_API_KEY.",
    )
    .argument("<pairs>", "a folder or files of pairs (docs/datasets.md)")
    .requiredOption("--server <url>", "base address, such as http://localhost:8000/v1")
    .requiredOption(
      "--caption-model <name>",
      "the server's name of the model, such as Qwen/Qwen2-VL-7B-Instruct",
    )
    .requiredOption(
      "--output <file>",
      "the .jsonl file of captions, for the setting `captions` of a data set",
    )
    .option(
      "--size <n>",
      "edge of the pictures sent, in pixels. Defaults to 512",
      numberFor("--size", whole(16, 4096)),
      512,
    )
    .option(
      "--concurrency <n>",
      "questions at a time. Defaults to 4",
      numberFor("--concurrency", whole(1, 256)),
      4,
    )
    .option(
      "--retries <n>",
      "tries more for what failed. Defaults to 2",
      numberFor("--retries", whole(0, 20)),
      2,
    )
    .option(
      "--timeout <s>",
      "seconds that an answer may take. Defaults to 120",
      numberFor("--timeout", whole(1, 3600)),
      120,
    )
    .option("--limit <n>", "only the first n pairs", numberFor("--limit", whole(1, 2 ** 31)))
    .option("--json", "print one JSON object on standard output", false)
    .action((pairs: string, options: Options) => caption(pairs, options, signal));
}

async function caption(path: string, options: Options, signal: AbortSignal): Promise<void> {
  const { server, captionModel, output, size, limit } = options;
  checkExtension(output, ".jsonl");
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol))
    throw new UsageError(`--server: expected an address that begins with http:// or https://, got ${server}`);
  const set = await openPairs({ path, split: "all" });
  const total = Math.min(set.length, limit ?? set.length);
  async function* pairs(): AsyncGenerator<PairToCaption> {
    let count = 0;
    for await (const { id, input, output, instruction } of set.decoded(size)) {
      if (count === total) return;
      count++;
      if (input) yield { id, input, output, instruction };
    }
  }
  const progress = new Progress({ label: "captioning", total, unit: "pairs" });
  const done = await captionPairs(pairs(), {
    ...options,
    baseUrl: server,
    model: captionModel,
    answers: output,
    signal,
    onProgress: ({ pairs, failed, promptTokens, completionTokens }) =>
      progress.update(pairs, { failed, tokens: promptTokens + completionTokens }),
  }).finally(() => progress.stop());
  for (const reason of done.failures) say(`left out: ${reason}`);
  if (options.json) await printJson({ output, ...done });
  else
    say(
      `wrote ${output}: ${done.asked} new captions, ${done.cached} that were there, ${done.failed} left out (${done.promptTokens} + ${done.completionTokens} tokens)`,
    );
}
