/** @file `xprompt complete`: completes a prompt of text and pictures with a plain model of the family. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Command, Option } from "commander";
import { Chameleon, type Completed, type CompletedPart, type PromptPart } from "../chameleon/chameleon.ts";
import type { ChameleonOptions } from "../chameleon/checkpoint/read.ts";
import { type CompleteSettings, completeSchema } from "../chameleon/model/complete.ts";
import { pictureLayouts } from "../chameleon/model/grammar.ts";
import { UsageError } from "../errors.ts";
import type { Image } from "../image/index.ts";
import { Progress } from "../progress.ts";
import { resolveModel } from "../xprompt/models.ts";
import { sayLarge } from "./load.ts";
import { isNumberedPath, numberedPaths } from "./numbered-paths.ts";
import { checkDevice, checkOutput, type ModelOptions, withDevice } from "./options.ts";
import { print, printJson, say } from "./output.ts";
import { nameOf, type PictureToWrite, writePictures } from "./pictures.ts";
import { withSettings } from "./setting-options.ts";

interface Options
  extends Omit<ModelOptions, "adapter">,
    CompleteSettings,
    Pick<ChameleonOptions, "pictures" | "imageTokenizer"> {
  readonly output?: string;
  readonly json: boolean;
}

const commandSchema = completeSchema.extend({ mode: completeSchema.shape.mode.default("text") });

/** A part of the prompt from the command line. */
type Given = { readonly text: string } | { readonly image: string };

export function completeCommand(signal: AbortSignal): Command {
  const given: Given[] = [];
  const command = new Command("complete").description(
    "Complete a prompt of text and pictures with a plain checkpoint (Chameleon, Anole, Lumina-mGPT in Hugging Face's " +
      "layout). The result is text, a picture, or text with pictures. The order of --text and --image counts.",
  );
  withDevice(command)
    .requiredOption("--model <folder>", "a checkpoint folder")
    .option("--text <words>", "text of the prompt; repeatable", (text) => {
      given.push({ text });
    })
    .option("--image <picture>", "a picture of the prompt; repeatable", (image) => {
      given.push({ image });
    })
    .option(
      "--output <path>",
      "the PNG to write, or the folder to write picture.png to; several pictures become out-1.png, out-2.png, …",
    )
    .addOption(
      new Option(
        "--pictures <layout>",
        "layout of pictures in the prompt. Defaults to that of config.json",
      ).choices([...pictureLayouts]),
    )
    .option(
      "--image-tokenizer <path>",
      "Meta's vqgan.ckpt, for a model that cannot decode pictures. Defaults to the one in its folder",
    );
  return withSettings(command, commandSchema)
    .option("--json", "print one JSON object on standard output", false)
    .action((options: Options) => complete(given, options, signal));
}

async function complete(given: readonly Given[], options: Options, signal: AbortSignal): Promise<void> {
  const { mode, json, device, threads, pictures, imageTokenizer } = options;
  if (given.length === 0) throw new UsageError("complete: expected --text or --image, got none");
  checkDevice(device);
  const images = given.flatMap((part) => ("image" in part ? [part.image] : []));
  const output = await outputOf(options, images);
  const folder = await resolveModel(options.model);
  await sayLarge(folder);
  const model = await Chameleon.load(folder, { device, threads, pictures, imageTokenizer });
  try {
    if (mode !== "text" && !model.tokenizer.decodesImages)
      throw new UsageError(
        "complete: expected a model whose image tokenizer can decode, got one that cannot (put Meta's vqgan.ckpt into its folder, or name it with --image-tokenizer; see docs/chameleon.md)",
      );
    const settings = settingsOf(options);
    // Starts with the first token, so that an earlier error is one line without a progress bar.
    let progress: Progress | undefined;
    const result = await model
      .complete({
        ...settings,
        prompt: given.map((part): PromptPart => ("image" in part ? { picture: part.image } : part.text)),
        signal,
        onProgress: ({ tokens, maxTokens }) => {
          progress ??= new Progress({ label: "completing", total: maxTokens, unit: "tokens" });
          progress.update(tokens);
        },
      })
      .finally(() => progress?.stop());
    const { samples, pictures } = named(result, output);
    const prompt = given.map((part) =>
      "image" in part ? `image: ${nameOf(part.image)}` : `text: ${part.text}`,
    );
    const made = { command: "complete", prompt, ...settings, seed: result.seed, pictures: options.pictures };
    const about = { ...made, model: nameOf(options.model), fingerprint: result.model, device, threads };
    await writePictures(
      pictures.map((picture) => ({ ...picture, about })),
      signal,
    );
    const { seed, promptTokens, timings } = result;
    const tokens = {
      prompt: promptTokens,
      generated: sum(result.samples.map(({ tokens }) => tokens.length)),
    };
    if (json) await printJson({ samples, seed, model: result.model, tokens, timings, settings, device });
    else {
      for (const parts of samples)
        await print(parts.map((part) => ("text" in part ? printable(part.text) : part.picture)).join("\n"));
      say(`seed ${seed}, ${tokens.generated} tokens, ${Math.round(timings.total)} ms`);
    }
  } finally {
    await model.release();
  }
}

/** The file of a single picture, or the pattern for several; undefined if the mode makes no pictures. */
async function outputOf(
  { mode, output, samples }: Options,
  inputs: readonly string[],
): Promise<string | undefined> {
  if (mode === "text") {
    if (output === undefined) return undefined;
    throw new UsageError("--output: expected only for pictures, got it with --mode text (leave it out)");
  }
  if (output === undefined)
    throw new UsageError(`--output: expected a PNG file or a folder with --mode ${mode}, got none`);
  const isFolder = await stat(output).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder && !/\.png$/i.test(output))
    throw new UsageError(`--output: expected a name that ends in .png, or a folder, got ${output}`);
  const file = isFolder ? join(output, "picture.png") : output;
  await checkOutput(file, inputs);
  const replaced = inputs.find((path) => isNumberedPath(path, file));
  if (replaced !== undefined && (mode === "interleaved" || (samples ?? 1) > 1))
    throw new UsageError(
      `--output ${output}: expected a place where no picture replaces an input, got that of ${replaced} (choose another)`,
    );
  return file;
}

const settingsOf = (options: Options): CompleteSettings => {
  const { mode, maxTokens, seed, samples, temperature, topK, topP, guidance, separator } = options;
  return { mode, maxTokens, seed, samples, temperature, topK, topP, guidance, separator };
};

/** Replaces the pictures of the samples by file names, and lists the files. */
function named({ samples }: Completed, output: string | undefined) {
  const isImage = (part: CompletedPart): part is Image => typeof part === "object" && "width" in part;
  const count = sum(samples.map(({ parts }) => parts.filter(isImage).length));
  const pictures: Omit<PictureToWrite, "about">[] = [];
  const paths = output === undefined ? [] : numberedPaths(output, count);
  const parts = samples.map(({ parts }) =>
    parts.map((part): { readonly text: string } | { readonly picture: string } => {
      if (!isImage(part)) return { text: part as string };
      const path = paths[pictures.length]!;
      pictures.push({ path, image: part });
      return { picture: path };
    }),
  );
  return { samples: parts, pictures };
}

/** Removes control characters, except tabs and line ends, from a model's text for the terminal. */
const printable = (text: string): string => text.replace(/(?![\n\t])\p{Cc}/gu, "\uFFFD");

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
