/** @file Reads the parts of a model from its folder. Each is checked before the next is read. */
import { join } from "node:path";
import { z } from "zod";
import { checkSize } from "../chameleon/checkpoint/check-parts.ts";
import { readInitializers, readWeights, weightsChecksum } from "../chameleon/checkpoint/folder.ts";
import { preprocessingOf } from "../chameleon/checkpoint/preprocessing.ts";
import { requireMemoryFor } from "../chameleon/model/memory.ts";
import { TextTokenizer } from "../chameleon/tokenizers/text-tokenizer.ts";
import { XPromptError } from "../errors.ts";
import type { Initializer } from "../graph/index.ts";
import type { Preprocessing } from "../image/index.ts";
import { checkJson, readJson } from "../runtime/files.ts";
import { adapted } from "./adapted.ts";
import { type ModelConfig, modelConfigFromJson, modelConfigSchema } from "./config.ts";

export interface ModelParts {
  readonly config: ModelConfig;
  readonly text: TextTokenizer;
  readonly weights: ReadonlyMap<string, Initializer>;
  /** Identifies the weights. */
  readonly checksum: string;
  /** Preprocessing of pictures, as in the processor of the base model. */
  readonly preprocessing?: Preprocessing;
}

/**
 * @param adapter folder of an adapter of this model
 * @throws XPromptError when a part is missing or damaged, memory is short, or the adapter does not fit
 */
export async function readModel(folder: string, adapter?: string): Promise<ModelParts> {
  const config = await readConfig(folder);
  const text = await TextTokenizer.load(join(folder, "tokenizer.json"), {
    checksum: config.tokenizerChecksum,
  });
  checkSize(folder, config.decoder);
  await requireMemoryFor(folder, config);
  const checksum = await weightsChecksum(folder, config.checksum);
  const isQuantized = config.decoder.quantization !== undefined;
  if (adapter !== undefined && isQuantized)
    throw new XPromptError(
      `using adapter ${adapter}: expected a model with plain weights, got quantized ones in ${folder} (use the model that the adapter was trained on)`,
    );
  const used =
    adapter === undefined
      ? { weights: await readInitializers(folder, config.checksum, isQuantized), checksum }
      : await adapted({ weights: await readWeights(folder, config.checksum), checksum }, adapter);
  return { config, text, ...used, preprocessing: await preprocessingOf(folder, config.image) };
}

/** @throws XPromptError for a checkpoint without X-Prompt, with the commands that can use it */
async function readConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, "config.json");
  const json = await readJson(path, z.looseObject({}), "model config");
  const { model_type, xprompt } = json;
  if (model_type === "chameleon" && xprompt === undefined)
    throw new XPromptError(
      `loading model ${folder}: expected a model with X-Prompt, got a plain Chameleon checkpoint (prepare it for training with xprompt init --base ${folder}, or use it unchanged with xprompt complete --model ${folder})`,
    );
  return modelConfigFromJson(checkJson(json, modelConfigSchema, `reading model config ${path}`));
}
