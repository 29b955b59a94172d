/** @file The engine of a server: requests that run at the same time share the steps of one model. */
import { Batcher } from "../xprompt/batcher.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { Engine } from "./services.ts";

/** A model whose `generate` calls are batched, and whose compressed examples are kept by their content. */
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
