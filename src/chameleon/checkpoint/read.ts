/** @file Reading a checkpoint's parts from its folder. `read.browser.ts` stands in for this module in browsers. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import type { Initializer } from "../../graph/index.ts";
import type { Preprocessing } from "../../image/preprocess.ts";
import { readJson } from "../../runtime/files.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import type { Verification } from "../../runtime/verified.ts";
import { openWeights } from "../../runtime/weights.ts";
import type { PictureLayoutName } from "../model/grammar.ts";
import { isOfImages } from "../tokenizers/image-tokenizer.ts";
import type { TextTokenizer } from "../tokenizers/text-tokenizer.ts";
import { checkCheckpoint, checkSize } from "./check-parts.ts";
import {
  type ChameleonConfig,
  chameleonConfigFromJson,
  chameleonConfigSchema,
  decoderFromJson,
  vqganFromJson,
} from "./config.ts";
import { loadTextTokenizer, readInitializers, type Weight } from "./folder.ts";
import { preprocessingOf } from "./preprocessing.ts";
import { requireMemoryFor } from "./require-memory.ts";
import { type OpenImageTokenizerOptions, openImageTokenizer } from "./vqgan-checkpoint.ts";

export interface ChameleonOptions extends SessionOptions, OpenImageTokenizerOptions {
  /** Token layout of pictures. Defaults to the layout of the model in config.json: Lumina-mGPT's or Chameleon's. */
  readonly pictures?: PictureLayoutName;
}

/** The parts of a model in memory. Weights in a large file may still be under verification. */
export interface ChameleonParts extends Partial<Verification> {
  readonly config: ChameleonConfig;
  readonly text: TextTokenizer;
  /** Weights of the language model and of the image tokenizer, with or without its decoder. */
  readonly weights: ReadonlyMap<string, Initializer>;
  /** Identifies weights, sizes, tokens and preprocessing. */
  readonly fingerprint: string;
  /** Preprocessing of pictures, if the checkpoint has a processor. */
  readonly preprocessing?: Preprocessing;
}

/** @throws XPromptError as `Chameleon.load` */
export async function readCheckpoint(folder: string, options: ChameleonOptions): Promise<ChameleonParts> {
  const json = await readJson(join(folder, "config.json"), chameleonConfigSchema, "model config");
  const text = await loadTextTokenizer(folder, json);
  checkSize(folder, decoderFromJson(json));
  if (vqganFromJson(json.vq_config).patches)
    throw new XPromptError(
      `loading model ${folder}: expected a plain checkpoint, got a model made for X-Prompt alone (use it with XPrompt.load, or xprompt generate)`,
    );
  const image = await openImageTokenizer(folder, options);
  const told = { ...chameleonConfigFromJson(json), image: image.config };
  const config = { ...told, pictures: options.pictures ?? told.pictures };
  await requireMemoryFor(folder, config);
  const stored = await readInitializers(folder, config.checksum, (name) => !isOfImages(name));
  checkCheckpoint(config, text.vocabulary, stored.weights);
  const preprocessing = await preprocessingOf(folder, config.image);
  const fingerprint = await fingerprintOf(folder, { config, text, preprocessing }, image.weights);
  const weights = new Map<string, Initializer>([...stored.weights, ...image.weights]);
  return { config, text, weights, fingerprint, preprocessing, verified: stored.verified };
}

/**
 * Identifies a model by its sizes, its tokens, its preprocessing and its weights. The language model is known by the
 * recorded checksum, or else by samples of every weight: reading all of a 7B model again would take half a minute. The
 * samples do not depend on how the weights are split into files.
 * @param images weights of the image tokenizer, which may come from elsewhere
 */
async function fingerprintOf(
  folder: string,
  { config, text, preprocessing }: Pick<ChameleonParts, "config" | "text" | "preprocessing">,
  images: ReadonlyMap<string, Weight>,
): Promise<string> {
  const { decoder, image, checksum } = config;
  const hash = createHash("sha256");
  hash.update(JSON.stringify([decoder, image, text.checksum, preprocessing, checksum]));
  for (const [name, { data }] of images) hash.update(name).update(data);
  if (checksum === undefined) {
    await using stored = await openWeights(folder);
    for (const name of [...stored.tensors.keys()].sort()) {
      if (isOfImages(name)) continue;
      const { dtype, byteLength } = stored.tensors.get(name)!;
      hash.update(`${name} ${dtype}`);
      const step = Math.max(SAMPLE, Math.ceil(byteLength / SAMPLES));
      for (let start = 0; start < byteLength; start += step)
        hash.update(await stored.readPart(name, start, Math.min(SAMPLE, byteLength - start)));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** Samples of a weight in the fingerprint, evenly spaced, and bytes per sample. */
const SAMPLES = 32;
const SAMPLE = 4096;
