/** @file Reading a model's parts from its folder, each checked before the next is read. */
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
  /** Of the weights. */
  readonly checksum: string;
  /** What the processor of the model that this one was made of does to pictures. */
  readonly preprocessing?: Preprocessing;
}

/**
 * @param adapter folder of an adapter of this model
 * @throws XPromptError when a part is missing or damaged, needs more memory than there is, or the adapter does not fit
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
      `using adapter ${adapter}: expected a model of plain weights, got quantized ones in ${folder} (give the model that it was trained on)`,
    );
  const used =
    adapter === undefined
      ? { weights: await readInitializers(folder, config.checksum, isQuantized), checksum }
      : await adapted({ weights: await readWeights(folder, config.checksum), checksum }, adapter);
  return { config, text, ...used, preprocessing: await preprocessingOf(folder, config.image) };
}

/** @throws XPromptError that says what to do with a checkpoint that has not learned the method */
async function readConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, "config.json");
  const json = await readJson(path, z.looseObject({}), "model config");
  const { model_type, xprompt } = json;
  if (model_type === "chameleon" && xprompt === undefined)
    throw new XPromptError(
      `loading model ${folder}: expected a model with X-Prompt, got a plain Chameleon checkpoint (make it ready to learn with xprompt init --base ${folder}, or use it as it is with xprompt complete --model ${folder})`,
    );
  return modelConfigFromJson(checkJson(json, modelConfigSchema, `reading model config ${path}`));
}
