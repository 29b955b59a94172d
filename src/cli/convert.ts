/** @file `xprompt convert FOLDER --quantize FORMAT --output DIR`: writes a model's weights in another format. */
import { Command, Option } from "commander";
import { z } from "zod";
import { type BlockSize, blockSizes, defaultBlockSize } from "../chameleon/checkpoint/quantize.ts";
import { convertModel } from "../chameleon/convert/convert.ts";
import { formats } from "../chameleon/convert/plan.ts";
import { UsageError } from "../errors.ts";
import { formatBytes, formatDuration } from "../format.ts";
import { resolveModel } from "../xprompt/models.ts";
import { ByteProgress } from "./byte-progress.ts";
import { numberFor } from "./options.ts";
import { printJson, say } from "./output.ts";

interface Options {
  readonly quantize: (typeof formats)[number];
  readonly blockSize?: BlockSize;
  readonly output: string;
  readonly imageTokenizer?: string;
  readonly threads?: number;
  readonly json: boolean;
}

const threads = z.int().min(1).max(256);

export function convertCommand(signal: AbortSignal): Command {
  return new Command("convert")
    .description(
      "Convert a Chameleon-family model folder to one file, to 16 bits, or to matrices of 8 or 4 bits. Run an interrupted conversion again to continue it.",
    )
    .argument("<folder>", "a shipped model, or a model folder")
    .addOption(
      new Option("--quantize <format>", "the format of the weights. Defaults to int4")
        .choices(formats)
        .default("int4"),
    )
    .option(
      "--block-size <n>",
      `numbers that share a scale in 4 or 8 bits: ${blockSizes.join(", ")}. Larger blocks take less memory and time, and are less exact. Defaults to ${defaultBlockSize(4)} in 4 bits, ${defaultBlockSize(8)} in 8`,
      numberFor("--block-size", z.literal(blockSizes)),
    )
    .requiredOption("--output <folder>", "the model folder to write")
    .option(
      "--image-tokenizer <path>",
      "where to take the image tokenizer's decoder from: Meta's vqgan.ckpt, or a folder with a VQ-VAE. Defaults to the one in the folder",
    )
    .option(
      "--threads <n>",
      "CPU threads. Defaults to one per core, at most 8",
      numberFor("--threads", threads),
    )
    .option("--json", "print one JSON object on standard output", false)
    .action((folder: string, options: Options) => convert(folder, options, signal));
}

async function convert(folder: string, options: Options, signal: AbortSignal): Promise<void> {
  const { quantize: format, blockSize, output, imageTokenizer, threads, json } = options;
  if (blockSize !== undefined && (format === "none" || format === "float16"))
    throw new UsageError(`--block-size: expected --quantize int4 or int8, got ${format} (leave it out)`);
  const progress = new ByteProgress();
  try {
    const made = await convertModel(await resolveModel(folder), {
      ...{ format, blockSize, output, imageTokenizer, threads, signal },
      onProgress: progress.update,
      onNote: progress.note,
    });
    progress.stop();
    if (json) await printJson(made);
    else
      say(
        `wrote ${output}: ${made.parameters} parameters in ${formatBytes(made.bytes.out)} (from ${formatBytes(made.bytes.in)}), ${formatDuration(made.seconds)}`,
      );
  } finally {
    progress.stop();
  }
}
