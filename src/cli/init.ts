/** @file `xprompt init`: a Chameleon-family model made ready to learn X-Prompt. */
import { Command } from "commander";
import { z } from "zod";
import { type Initialized, initializeModel } from "../xprompt/initialize.ts";
import { resolveModel } from "../xprompt/models.ts";
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
      "Make a Chameleon-family model ready to learn X-Prompt: XP tokens at the end of its vocabulary, the method's " +
        "sizes in its configuration, everything else as it is. Train it then with init=DIR in a recipe.",
    )
    .requiredOption("--base <dir>", "the model's folder, in Hugging Face's layout")
    .requiredOption(
      "--xp-tokens <s>",
      "S: tokens that an example is compressed to",
      numberFor("--xp-tokens", xpTokens),
    )
    .option(
      "--max-text-tokens <n>",
      "most text tokens of an instruction. Defaults to 32",
      numberFor("--max-text-tokens", maxTextTokens),
      32,
    )
    .option("--seed <n>", "of what is drawn. Defaults to 1", numberFor("--seed", seed), 1)
    .option(
      "--reinit-image-head",
      "draw the head's rows of image tokens anew, like those of text: for a base that does not draw pictures",
      false,
    )
    .requiredOption("--output <dir>", "the folder to write; it must not exist, or be empty")
    .option("--json", "print one JSON object on standard output", false)
    .action(async ({ json, ...options }: Options) => {
      const made = await initializeModel({ ...options, base: await resolveModel(options.base), signal });
      const note = beyond(made);
      if (note) say(note);
      if (json) await printJson(made);
      else
        say(`wrote ${made.output}: ${made.vocabularySize} tokens, the last ${made.xp.length} of them for XP`);
    });
}

/** What is untrained about positions, if anything. */
function beyond({ positions: { used, base } }: Initialized): string | undefined {
  if (used <= base) return undefined;
  return `note: the longest example and query take ${used} positions, the base was made for ${base}: it meets the others for the first time in training (see docs/adapt.md)`;
}
