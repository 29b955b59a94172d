/** @file Options of commands that use an example library: where it is, and how examples are compared. */
import type { Command } from "commander";
import { z } from "zod";
import {
  ClipFeatures,
  defaultWeights,
  type Features,
  modelFeatures,
  type Weights,
} from "../retrieval/index.ts";
import { XPrompt } from "../xprompt/model.ts";
import { loadOptionsOf, type ModelOptions, numberFor } from "./options.ts";

/** What distances are measured by. */
export interface DistanceOptions {
  readonly clip?: string;
  readonly textWeight: number;
  readonly imageWeight: number;
  readonly wordsWeight: number;
}

/** `--library`. */
export function withLibrary(command: Command, place?: string): Command {
  const words = "folder of the example library, or a URI such as s3://bucket/path";
  return place === undefined
    ? command.option("--library <place>", `${words}: look up examples there`)
    : command.option("--library <place>", `${words}. Defaults to ${place}`, place);
}

/** `--clip`. */
export const withFeatures = (command: Command): Command =>
  command.option(
    "--clip <dir>",
    "measure by the features of this CLIP (a folder as transformers writes it). Defaults to the model's own",
  );

const weight = z.number().min(0).max(100);

/** `--text-weight`, `--image-weight`, `--words-weight`. */
export function withWeights(command: Command): Command {
  const { text, image, words } = defaultWeights;
  const option = (flag: string, what: string, value: number) =>
    command.option(`${flag} <w>`, `${what}. Defaults to ${value}`, numberFor(flag, weight), value);
  option("--text-weight", "how much the likeness of instructions counts", text);
  option("--image-weight", "how much the likeness of the pictures to change counts", image);
  return option("--words-weight", "how much the words that instructions share count", words);
}

export const weightsOf = ({ textWeight, imageWeight, wordsWeight }: DistanceOptions): Weights => ({
  text: textWeight,
  image: imageWeight,
  words: wordsWeight,
});

/** Opens the features that `--clip` or `--model` name, for as long as `use` takes. */
export async function withFeaturesOf<T>(
  options: ModelOptions & Pick<DistanceOptions, "clip">,
  use: (features: Features) => Promise<T>,
): Promise<T> {
  if (options.clip !== undefined) {
    const clip = await ClipFeatures.load(options.clip, options);
    return use(clip).finally(() => clip.release());
  }
  const model = await XPrompt.load(options.model, loadOptionsOf(options));
  return use(modelFeatures(model)).finally(() => model.release());
}
