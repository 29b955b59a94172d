/** @file The engine of a server: concurrent requests share the steps of one model. */
import { Batcher } from "../xprompt/batcher.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { Engine } from "./services.ts";

/** A model with batched `generate` calls and a cache of compressed examples. */
export function batchedEngine(model: XPrompt): Engine {
  const batcher = new Batcher(model);
  return {
    fingerprint: model.fingerprint,
    size: model.size,
    codesPerImage: model.codesPerImage,
    generate: batcher.generate.bind(batcher) as Engine["generate"],
    compress: batcher.compress.bind(batcher),
    describe: model.describe.bind(model),
  };
}
