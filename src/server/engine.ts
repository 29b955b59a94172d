/** @file The engine of a server: requests that run at the same time share every run of the model. */
import { Batch } from "../chameleon/model/batch.ts";
import { generated } from "../xprompt/generate.ts";
import type { XPrompt } from "../xprompt/model.ts";
import { checkKeys, type GenerateOptions, optionNames } from "../xprompt/options.ts";
import type { Engine } from "./services.ts";

/** A model whose `generate` calls are batched. Each gives the pictures that it gives alone. */
export function batchedEngine(model: XPrompt): Engine {
  const batch = new Batch(model.base.decoder);
  const generate = async (options: GenerateOptions) => {
    checkKeys("generating", options, optionNames.generate);
    return generated(model, options, batch);
  };
  return {
    fingerprint: model.fingerprint,
    size: model.size,
    codesPerImage: model.codesPerImage,
    generate: generate as Engine["generate"],
    compress: (...args) => model.compress(...args),
    describe: (...args) => model.describe(...args),
  };
}
