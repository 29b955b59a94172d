/** @file Options of commands that use an example library. */
import type { Command } from "commander";
import { z } from "zod";
import type { Embedder } from "../retrieval/index.ts";
import { defaultWeights, type Weights } from "../retrieval/weights.ts";
import { loadModel } from "./load.ts";
import { type ModelOptions, numberFor } from "./options.ts";

/** Options of the library search. */
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
    ? command.option("--library <place>", `${words}, to retrieve examples from`)
    : command.option("--library <place>", `${words}. Defaults to ${place}`, place);
}

/** `--clip`. */
export const withClip = (command: Command): Command =>
  command.option(
    "--clip <dir>",
    "embed with this CLIP (a folder in the layout of transformers). Defaults to the model itself",
  );

const weight = z.number().min(0).max(100);

/** `--text-weight`, `--image-weight`, `--words-weight`. */
export function withWeights(command: Command): Command {
  const { text, image, words } = defaultWeights;
  const option = (flag: string, what: string, value: number) =>
    command.option(`${flag} <w>`, `${what}. Defaults to ${value}`, numberFor(flag, weight), value);
  option("--text-weight", "weight of the similarity of instructions", text);
  option("--image-weight", "weight of the similarity of input pictures", image);
  return option("--words-weight", "weight of full-text search in the instructions", words);
}

export const weightsOf = ({ textWeight, imageWeight, wordsWeight }: DistanceOptions): Weights => ({
  text: textWeight,
  image: imageWeight,
  words: wordsWeight,
});

/** Runs `use` with the embedder of `--clip` or `--model`, and releases it. */
export async function withEmbedder<T>(
  options: ModelOptions & Pick<DistanceOptions, "clip">,
  use: (embedder: Embedder) => Promise<T>,
): Promise<T> {
  const { ClipEmbedder, modelEmbedder } = await import("../retrieval/index.ts");
  if (options.clip !== undefined) {
    const clip = await ClipEmbedder.load(options.clip, options);
    return use(clip).finally(() => clip.release());
  }
  const model = await loadModel(options);
  return use(modelEmbedder(model)).finally(() => model.release());
}
