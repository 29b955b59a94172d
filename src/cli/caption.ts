/** @file `xprompt caption`: a vision-language model describes the changes of the pairs of a data set. */
import { Command } from "commander";
import { UsageError, XPromptError } from "../errors.ts";
import { Progress } from "../progress.ts";
import { type CaptionerState, captionPairs, type PairToCaption } from "../tasks/captioner/captioner.ts";
import { openPairs, type PairSource } from "../tasks/datasets/index.ts";
import { checkExtension, checkOutput, wholeFor } from "./options.ts";
import { oneLine, printJson, say } from "./output.ts";

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

export function captionCommand(signal: AbortSignal): Command {
  return new Command("caption")
    .description(
      "Ask a vision-language model on an OpenAI-compatible server what each pair changes: descriptions and instructions " +
        "in both directions, and the kind of change. Answers are stored; a second run continues where the first stopped. " +
        "If the server needs a key, set OPENAI_API_KEY.",
    )
    .argument("<pairs>", "a folder or files of pairs (docs/datasets.md)")
    .requiredOption("--server <url>", "base URL, such as http://localhost:8000/v1")
    .requiredOption(
      "--caption-model <name>",
      "the model's name on the server, such as Qwen/Qwen2-VL-7B-Instruct",
    )
    .requiredOption(
      "--output <file>",
      "the .jsonl file of captions, for the setting `captions` of a data set",
    )
    .option(
      "--size <n>",
      "edge of the uploaded pictures in pixels. Defaults to 512",
      wholeFor("--size", 16, 4096),
      512,
    )
    .option("--concurrency <n>", "parallel requests. Defaults to 4", wholeFor("--concurrency", 1, 256), 4)
    .option("--retries <n>", "retries of a failed request. Defaults to 2", wholeFor("--retries", 0, 20), 2)
    .option(
      "--timeout <s>",
      "seconds before a request times out. Defaults to 120",
      wholeFor("--timeout", 1, 3600),
      120,
    )
    .option("--limit <n>", "only the first n pairs", wholeFor("--limit", 1, 2 ** 31))
    .option("--json", "print one JSON object on standard output", false)
    .action((pairs: string, options: Options) => caption(pairs, options, signal));
}

async function caption(path: string, options: Options, signal: AbortSignal): Promise<void> {
  const { server, output, size, limit, json } = options;
  checkExtension(output, [".jsonl"]);
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol))
    throw new UsageError(`--server: expected a URL that begins with http:// or https://, got ${server}`);
  await checkOutput(output, [path]);
  const set = await openPairs({ path, split: "all" });
  const pairs = new PairsToAsk(set, size, limit);
  const done = await captionAll(pairs, options, signal);
  for (const reason of done.failures) say(`failed: ${oneLine(reason)}`);
  for (const reason of set.defects.first) say(`skipped: ${oneLine(reason)}`);
  const { skipped } = pairs;
  if (done.asked + done.cached === 0)
    throw new XPromptError(
      `captioning ${path}: expected a pair that can be captioned, got none: ${done.failed} failed, ${skipped} skipped (see the reasons above)`,
    );
  if (json) await printJson({ output, ...done, skipped });
  else say(summaryOf(output, done, skipped));
}

/** The pairs of a set in order. Counts broken records and records without an input picture. */
class PairsToAsk {
  /** The number of records, or of pairs if `--limit` is smaller. */
  readonly total: number;
  /** Defects that the set has found before decoding. */
  private readonly uncounted: number;
  private withoutInput = 0;

  constructor(
    private readonly set: PairSource,
    private readonly size: number,
    limit = set.length,
  ) {
    this.total = Math.min(set.length, limit);
    this.uncounted = set.defects.total;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<PairToCaption> {
    let count = 0;
    for await (const { id, input, output, instruction } of this.set.decoded(this.size)) {
      if (!input) {
        this.withoutInput++;
        continue;
      }
      yield { id, input, output, instruction };
      if (++count === this.total) return;
    }
  }

  /** Records so far that are not a pair. */
  get skipped(): number {
    return this.set.defects.total + this.withoutInput;
  }

  /** Progress out of `total` after a number of pairs. */
  passed(pairs: number): number {
    const records = this.set.length - (this.skipped - this.uncounted);
    return pairs + Math.max(0, this.total - records);
  }
}

async function captionAll(pairs: PairsToAsk, options: Options, signal: AbortSignal): Promise<CaptionerState> {
  const progress = new Progress({ label: "captioning", total: pairs.total, unit: "pairs" });
  const onProgress = ({ pairs: seen, failed, promptTokens, completionTokens }: CaptionerState) =>
    progress.update(pairs.passed(seen), { failed, tokens: promptTokens + completionTokens });
  try {
    const done = await captionPairs(pairs, {
      ...options,
      baseUrl: options.server,
      model: options.captionModel,
      answers: options.output,
      signal,
      onProgress,
    });
    onProgress(done); // includes records skipped after the last pair
    return done;
  } finally {
    progress.stop();
  }
}

function summaryOf(output: string, done: CaptionerState, skipped: number): string {
  const { asked, cached, failed, promptTokens, completionTokens } = done;
  const others = `${failed} failed${skipped > 0 ? `, ${skipped} incomplete records skipped` : ""}`;
  return `wrote ${output}: ${asked} new captions, ${cached} existing, ${others} (${promptTokens} + ${completionTokens} tokens)`;
}
