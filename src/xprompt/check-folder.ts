/**
 * @file Checks whether a model folder can be loaded, without loading it. Reads the configuration, the tokenizer, the
 * processor and the headers of the weights.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { checkCheckpoint } from "../chameleon/checkpoint/check-parts.ts";
import {
  type ChameleonConfig,
  chameleonConfigFromJson,
  chameleonConfigSchema,
} from "../chameleon/checkpoint/config.ts";
import { loadTextTokenizer } from "../chameleon/checkpoint/folder.ts";
import { preprocessingOf } from "../chameleon/checkpoint/preprocessing.ts";
import { dtypesOf } from "../chameleon/checkpoint/quantize.ts";
import { checkImageTokenizer, imageTokenizerPlaces } from "../chameleon/checkpoint/vqgan-checkpoint.ts";
import { isOfImages } from "../chameleon/tokenizers/image-tokenizer.ts";
import type { TextTokenizer } from "../chameleon/tokenizers/text-tokenizer.ts";
import { XPromptError } from "../errors.ts";
import type { Preprocessing } from "../image/index.ts";
import { readJson } from "../runtime/files.ts";
import { checkJson } from "../runtime/json.ts";
import type { Dtype } from "../runtime/safetensors.ts";
import { openWeights, type WeightFolder } from "../runtime/weights.ts";
import { checkParts } from "./check-parts.ts";
import { type ModelConfig, modelConfigFromJson, modelConfigSchema } from "./config.ts";

export interface CheckedFolder {
  readonly config: Pick<ChameleonConfig, "decoder" | "image">;
  /** Configuration of a model with X-Prompt. */
  readonly xprompt?: ModelConfig;
  readonly text: TextTokenizer;
  readonly preprocessing?: Preprocessing;
  /** Headers only; the files are closed. */
  readonly weights: Pick<WeightFolder, "tensors" | "files">;
}

/** @throws XPromptError naming the first problem that would make loading fail */
export async function checkFolder(folder: string): Promise<CheckedFolder> {
  const path = join(folder, "config.json");
  const raw = await readJson(path, z.unknown(), "model config");
  const doing = `reading model config ${path}`;
  const json = checkJson(raw, chameleonConfigSchema, doing);
  const text = await loadTextTokenizer(folder, json);
  const weights = await openWeights(folder);
  await weights.close();
  const { tensors } = weights;
  if ("xprompt" in json) {
    const config = modelConfigFromJson(checkJson(raw, modelConfigSchema, doing));
    checkParts(config, text.vocabulary, tensors);
    checkTypes(tensors, config);
    const preprocessing = await preprocessingOf(folder, config.image);
    return { config, xprompt: config, text, preprocessing, weights };
  }
  const language = chameleonConfigFromJson(json);
  // A language model without image tokenizer can be converted, so it can be described too.
  const hasImages =
    [...tensors.keys()].some(isOfImages) ||
    imageTokenizerPlaces.some((place) => existsSync(join(folder, place)));
  const config = hasImages ? { ...language, image: await checkImageTokenizer(folder) } : language;
  checkCheckpoint(config, text.vocabulary, new Map([...tensors].filter(([name]) => !isOfImages(name))));
  checkTypes(tensors, config);
  const preprocessing = await preprocessingOf(folder, config.image);
  return { config, text, preprocessing, weights };
}

function checkTypes(
  tensors: ReadonlyMap<string, { readonly dtype: Dtype }>,
  { decoder }: Pick<ChameleonConfig, "decoder">,
): void {
  for (const [name, { dtype }] of tensors) {
    const expected = dtypesOf(name, decoder);
    if (!expected.includes(dtype))
      throw new XPromptError(
        `loading a model: ${name}: expected ${expected.join(", ")}, got ${dtype} (config.json and the weights belong to different models, or are damaged)`,
      );
  }
}
