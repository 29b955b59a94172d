/** @file `xprompt generate`: the change that the examples show, or the instruction tells, done to a picture. */
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import { savePng } from "../image/index.ts";
import { Progress } from "../progress.ts";
import { type Generated, type GenerateOptions, XPrompt } from "../xprompt/model.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { checkOutput, examplesOf, type ModelOptions, number, withExamples, withModel } from "./options.ts";
import { printJson, say } from "./output.ts";

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
      number,
    )
    .option("--samples <n>", "how many pictures to draw. Defaults to 1", number, 1)
    .option("--temperature <t>", "0 takes the likeliest code each time. Defaults to 1", number, 1)
    .option("--top-k <k>", "draw from the k likeliest codes; 0 for all. Defaults to 0", number, 0)
    .option("--top-p <p>", "draw from the likeliest codes that make up this share. Defaults to 1", number, 1)
    .option(
      "--guidance <g>",
      "how strongly to follow the examples (or the instruction, without). Defaults to 1",
      number,
      1,
    )
    .option("--json", "print one JSON object on standard output", false)
    .action((options: Options) => generate(options, signal));
}

async function generate(options: Options, signal: AbortSignal): Promise<void> {
  const examples = examplesOf(options.example);
  const prompts = options.prompt ?? [];
  if (examples.length + prompts.length === 0 && options.instruction === undefined)
    throw new UsageError(
      "generate: expected --example, --prompt or --instruction to say what to do, got none",
    );
  await checkOutput(options.output, ".png");
  const loaded = await Promise.all(prompts.map((path) => VisualPrompt.load(path)));
  const model = await XPrompt.load(options.model, options);
  try {
    const shown = examples.length > 0 ? [await model.compress(examples)] : [];
    const settings = settingsOf(options);
    const progress = new Progress({ label: "drawing", total: Math.sqrt(model.codesPerImage), unit: "rows" });
    const result = await model
      .generate({
        ...settings,
        prompt: [...loaded, ...shown],
        input: options.input,
        signal,
        onProgress: ({ row }) => progress.update(row),
      })
      .finally(() => progress.stop());
    const outputs = await write(result, options, settings, signal);
    if (options.json)
      printJson({ output: outputs[0], outputs, ...reportOf(result), settings, device: options.device });
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

/** Writes the pictures, each with what is needed to make it again in its text. */
async function write(
  result: Generated,
  options: Options,
  settings: Settings,
  signal: AbortSignal,
): Promise<string[]> {
  const outputs: string[] = [];
  for (const [i, image] of result.images.entries()) {
    const path =
      result.images.length === 1 ? options.output : options.output.replace(/\.png$/i, `-${i + 1}$&`);
    const { example = [], prompt = [], input, model, device } = options;
    const made = {
      ...settings,
      seed: result.seed,
      sample: i,
      model,
      fingerprint: result.model,
      device,
      example,
      prompt,
      input,
    };
    await savePng(path, image, { text: { Software: "xprompt", xprompt: JSON.stringify(made) }, signal });
    outputs.push(path);
  }
  return outputs;
}
