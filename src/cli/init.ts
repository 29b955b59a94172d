/** @file `xprompt init`: prepares a Chameleon-family model for training X-Prompt. */
import { Command } from "commander";
import { z } from "zod";
import { type Initialized, initializeModel } from "../xprompt/initialize.ts";
import { resolveModel } from "../xprompt/models.ts";
import { ByteProgress, LARGE } from "./byte-progress.ts";
import { numberFor } from "./options.ts";
import { printJson, say } from "./output.ts";

interface Options {
  readonly base: string;
  readonly xpTokens: number;
  readonly maxTextTokens: number;
  readonly seed: number;
  readonly reinitImageHead: boolean;
  readonly output: string;
  readonly json: boolean;
}

const xpTokens = z.int().min(1).max(4096);
const maxTextTokens = z.int().min(0).max(4096);
const seed = z.int().min(0);

export function initCommand(signal: AbortSignal): Command {
  return new Command("init")
    .description(
      "Prepare a Chameleon-family model for training X-Prompt: adds XP tokens at the end of its vocabulary and the " +
        "method's sizes to its configuration, and copies everything else. Then train it with init=DIR in a recipe.",
    )
    .requiredOption("--base <dir>", "the model's folder, in Hugging Face's layout")
    .requiredOption(
      "--xp-tokens <s>",
      "the number of XP tokens S, to which each example is compressed",
      numberFor("--xp-tokens", xpTokens),
    )
    .option(
      "--max-text-tokens <n>",
      "the most text tokens of an instruction. Defaults to 32",
      numberFor("--max-text-tokens", maxTextTokens),
      32,
    )
    .option("--seed <n>", "seed of the new weights. Defaults to 1", numberFor("--seed", seed), 1)
    .option(
      "--reinit-image-head",
      "initialize the head's rows of image tokens anew: for a base that does not generate pictures",
      false,
    )
    .requiredOption("--output <dir>", "the folder to write; it must be new or empty")
    .option("--json", "print one JSON object on standard output", false)
    .action(async ({ json, ...options }: Options) => {
      const progress = new ByteProgress(LARGE);
      const base = await resolveModel(options.base);
      const made = await initializeModel({
        ...{ ...options, base, signal },
        onProgress: (done, total) => progress.update("writing", done, total),
      }).finally(() => progress.stop());
      const note = beyond(made);
      if (note) say(note);
      if (json) await printJson({ ...made, seed: options.seed });
      else
        say(`wrote ${made.output}: ${made.vocabularySize} tokens, the last ${made.xp.length} of them for XP`);
    });
}

/** A note about positions that the base was not trained on, if any. */
function beyond({ positions: { used, base } }: Initialized): string | undefined {
  if (used <= base) return undefined;
  return `note: the longest example and query take ${used} positions, the base was trained on ${base}: training must teach it the others (see docs/adapt.md)`;
}
