/**
 * @file Reads the parts of a model from its folder. Each is checked before the next is read, but for a large weight file.
 * `load.browser.ts` stands in for this module in browsers.
 */
import { join } from "node:path";
import { z } from "zod";
import { checkSize } from "../chameleon/checkpoint/check-parts.ts";
import { readInitializers, readWeights, weightsChecksum } from "../chameleon/checkpoint/folder.ts";
import { preprocessingOf } from "../chameleon/checkpoint/preprocessing.ts";
import { requireMemoryFor } from "../chameleon/checkpoint/require-memory.ts";
import { TextTokenizer } from "../chameleon/tokenizers/text-tokenizer.ts";
import { XPromptError } from "../errors.ts";
import { readJson } from "../runtime/files.ts";
import { adapted } from "./adapted.ts";
import type { ModelConfig } from "./config.ts";
import { resolveModel } from "./models.ts";
import { checkConfig, type ModelParts } from "./parts.ts";

/**
 * @param nameOrPath "nano", or a model folder
 * @param adapter folder of an adapter of this model
 * @throws XPromptError when a part is missing or damaged, memory is short, or the adapter does not fit
 */
export async function readModel(nameOrPath: string, adapter?: string): Promise<ModelParts> {
  const folder = await resolveModel(nameOrPath);
  const config = await readConfig(folder);
  const text = await TextTokenizer.load(join(folder, "tokenizer.json"), {
    checksum: config.tokenizerChecksum,
  });
  checkSize(folder, config.decoder);
  await requireMemoryFor(folder, config);
  const checksum = await weightsChecksum(folder, config.checksum);
  if (adapter !== undefined && config.decoder.quantization !== undefined)
    throw new XPromptError(
      `using adapter ${adapter}: expected a model with plain weights, got quantized ones in ${folder} (use the model that the adapter was trained on)`,
    );
  const used =
    adapter === undefined
      ? { ...(await readInitializers(folder, config.checksum)), checksum }
      : await adapted({ weights: await readWeights(folder, config.checksum), checksum }, adapter);
  return { config, text, ...used, preprocessing: await preprocessingOf(folder, config.image) };
}

async function readConfig(folder: string): Promise<ModelConfig> {
  const path = join(folder, "config.json");
  return checkConfig(
    await readJson(path, z.unknown(), "model config"),
    folder,
    `reading model config ${path}`,
  );
}
