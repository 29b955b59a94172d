/** @file A model's parts, and how they are made of the bytes of its files. */
import { z } from "zod";
import { TextTokenizer } from "../chameleon/tokenizers/text-tokenizer.ts";
import { XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import { sha256 } from "../hash.ts";
import type { Preprocessing } from "../image/preprocess.ts";
import { checkJson, parseJson } from "../runtime/json.ts";
import { SafetensorsFile } from "../runtime/safetensors.ts";
import type { Verification } from "../runtime/verified.ts";
import { type ModelConfig, modelConfigFromJson, modelConfigSchema } from "./config.ts";

/** A model in memory. Weights in a large file may still be under verification. */
export interface ModelParts extends Partial<Verification> {
  readonly config: ModelConfig;
  readonly text: TextTokenizer;
  readonly weights: ReadonlyMap<string, Initializer>;
  /** Identifies the weights. */
  readonly checksum: string;
  /** Preprocessing of pictures, as in the processor of the base model. */
  readonly preprocessing?: Preprocessing;
}

/**
 * The bytes of a model's files. A processor (`processor_config.json`, `preprocessor_config.json`) is not among them: a model
 * with one gives other codes than from its folder, and has another fingerprint.
 */
export interface ModelFiles {
  /** `config.json` */
  readonly config: Uint8Array;
  /** `tokenizer.json` */
  readonly tokenizer: Uint8Array;
  /** `model.safetensors`: plain weights, not quantized ones. */
  readonly weights: Uint8Array;
}

/** The parts of a model in memory. @throws XPromptError when a file is damaged, or the files do not belong together */
export async function partsOf(files: ModelFiles): Promise<ModelParts> {
  const config = checkConfig(jsonOf(files.config, "config.json"), "of bytes", "reading config.json");
  const text = TextTokenizer.fromJson(jsonOf(files.tokenizer, "tokenizer.json"), "tokenizer.json", {
    checksum: config.tokenizerChecksum,
  });
  if (config.decoder.quantization)
    throw new XPromptError(
      "loading a model: expected plain weights, got quantized ones, which run from a folder alone (use the model that they were made of)",
    );
  const checksum = sha256(files.weights);
  if (config.checksum !== undefined && checksum !== config.checksum)
    throw new XPromptError(
      "reading weights: expected the checksum in config.json, got another: the file is damaged (copy it again)",
    );
  const stored = await SafetensorsFile.fromBytes(files.weights, "model.safetensors");
  const weights = new Map<string, Initializer>();
  for (const [name, { shape }] of stored.tensors)
    weights.set(name, { dtype: "float32", shape, data: await stored.readFloat32(name) });
  return { config, text, weights, checksum };
}

/** @throws XPromptError for a checkpoint without X-Prompt, with the commands that can use it */
export function checkConfig(json: unknown, folder: string, doing: string): ModelConfig {
  const { model_type, xprompt } = checkJson(json, z.looseObject({}), doing);
  if (model_type === "chameleon" && xprompt === undefined)
    throw new XPromptError(
      `loading model ${folder}: expected a model with X-Prompt, got a plain Chameleon checkpoint (prepare it for training with xprompt init --base ${folder} --xp-tokens 16 --output DIR, or use it unchanged with xprompt complete --model ${folder})`,
    );
  return modelConfigFromJson(checkJson(json, modelConfigSchema, doing));
}

const jsonOf = (bytes: Uint8Array, name: string): unknown =>
  parseJson(new TextDecoder().decode(bytes), `reading ${name}`);
