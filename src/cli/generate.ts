/** @file `xprompt generate`: the change that the examples show, or the instruction tells, done to a picture. */
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import { Progress } from "../progress.ts";
import { type Generated, type GenerateOptions, XPrompt } from "../xprompt/model.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { requestSchema } from "../xprompt/request.ts";
import {
  checkDevice,
  checkExtension,
  checkOutput,
  examplesOf,
  type ModelOptions,
  numberFor,
  withExamples,
  withModel,
} from "./options.ts";
import { printJson, say, sayUnread } from "./output.ts";
import { writePictures } from "./pictures.ts";

interface Options extends ModelOptions {
  readonly example?: readonly string[];
  readonly prompt?: readonly string[];
  readonly input?: string;
  readonly instruction?: string;
  readonly output: string;
  readonly seed?: number;
  readonly samples: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly guidance: number;
  readonly json: boolean;
}

/** What each number may be. */
const ranges = requestSchema.shape;

export function generateCommand(signal: AbortSignal): Command {
  const command = new Command("generate").description(
    "Draw a picture: show before → after pairs and your picture, and get the same change done to it. Pictures of any " +
      "size come in (PNG, JPEG, WebP): turned upright as their EXIF data says, laid on white where they are " +
      "transparent, scaled, and cropped to the middle square.",
  );
  return withModel(withExamples(command))
    .option("--prompt <file...>", "compressed examples (.xprompt); used together with those of --example")
    .option("--input <picture>", "the picture to change; without it, draws from words and examples alone")
    .option("--instruction <text>", "what to do, in words")
    .requiredOption("--output <file>", "the PNG to write; with --samples, out-1.png, out-2.png, …")
    .option(
      "--seed <n>",
      "the same seed gives the same picture. Defaults to a random one, which is reported",
      numberFor("--seed", ranges.seed),
    )
    .option(
      "--samples <n>",
      "how many pictures to draw. Defaults to 1",
      numberFor("--samples", ranges.samples),
      1,
    )
    .option(
      "--temperature <t>",
      "0 takes the likeliest code each time. Defaults to 1",
      numberFor("--temperature", ranges.temperature),
      1,
    )
    .option(
      "--top-k <k>",
      "draw from the k likeliest codes; 0 for all. Defaults to 0",
      numberFor("--top-k", ranges.topK),
      0,
    )
    .option(
      "--top-p <p>",
      "draw from the likeliest codes that make up this share. Defaults to 1",
      numberFor("--top-p", ranges.topP),
      1,
    )
    .option(
      "--guidance <g>",
      "how strongly to follow the examples (or the instruction, without). Defaults to 1",
      numberFor("--guidance", ranges.guidance),
      1,
    )
    .option("--json", "print one JSON object on standard output", false)
    .action((options: Options) => generate(options, signal));
}

async function generate(options: Options, signal: AbortSignal): Promise<void> {
  const examples = examplesOf(options.example);
  const { example = [], prompt: prompts = [], input, instruction = "" } = options;
  if (examples.length + prompts.length === 0 && instruction.trim() === "")
    throw new UsageError(
      "generate: expected --example, --prompt or --instruction to say what to do, got none",
    );
  checkExtension(options.output, ".png");
  checkDevice(options.device);
  const inputs = [...example, ...prompts, ...(input === undefined ? [] : [input])];
  const outputs = outputsOf(options);
  for (const path of outputs) await checkOutput(path, inputs);
  const loaded = await Promise.all(prompts.map((path) => VisualPrompt.load(path)));
  const model = await XPrompt.load(options.model, options);
  try {
    const shown = examples.length > 0 ? [await model.compress(examples)] : [];
    const settings = settingsOf(options);
    // From the first row on: what is wrong before that is one line, without a bar above it.
    let progress: Progress | undefined;
    const result = await model
      .generate({
        ...settings,
        prompt: [...loaded, ...shown],
        input,
        signal,
        onProgress: ({ row, rows }) => {
          progress ??= new Progress({ label: "drawing", total: rows, unit: "rows" });
          progress.update(row);
        },
      })
      .finally(() => progress?.stop());
    const pictures = result.images.map((image, i) => ({
      path: outputs[i]!,
      image,
      about: requestOf(options, result, i),
    }));
    await writePictures(pictures, signal);
    sayUnread(model.unreadTokens(instruction, input === undefined ? 0 : 1));
    if (options.json)
      await printJson({ output: outputs[0], outputs, ...reportOf(result), settings, device: options.device });
    else
      for (const path of outputs)
        say(`wrote ${path} (seed ${result.seed}, ${Math.round(result.timings.total)} ms)`);
  } finally {
    await model.release();
  }
}

type Settings = Pick<
  GenerateOptions,
  "instruction" | "seed" | "samples" | "temperature" | "topK" | "topP" | "guidance"
>;

function settingsOf({ instruction, seed, samples, temperature, topK, topP, guidance }: Options): Settings {
  return { instruction, seed, samples, temperature, topK, topP, guidance };
}

const reportOf = ({ seed, model, tokens, timings }: Generated) => ({ seed, model, tokens, timings });

/** One file a sample. */
const outputsOf = ({ output, samples }: Options): string[] =>
  samples === 1
    ? [output]
    : Array.from({ length: samples }, (_, i) => output.replace(/\.png$/i, `-${i + 1}$&`));

/** What is needed to make the picture of a sample again. */
function requestOf(options: Options, { seed, model: fingerprint }: Generated, sample: number): object {
  const { example = [], prompt = [], input, model, adapter, device } = options;
  return {
    ...settingsOf(options),
    seed,
    sample,
    model,
    adapter,
    fingerprint,
    device,
    example,
    prompt,
    input,
  };
}
