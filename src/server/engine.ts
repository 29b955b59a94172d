/** @file The engine of a server: concurrent requests share the steps of one model, or go to the workers of a queue. */
import { type JobQueue, remoteModel } from "../queue/index.ts";
import { Batcher } from "../xprompt/batcher.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { Engine } from "./services.ts";

/**
 * A model with batched `generate` calls and a cache of compressed examples. Its threads for full size do not keep the
 * process alive.
 */
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

/** The workers of a queue. `model` is for its fingerprint, its tokenizers and the search of libraries. */
export const queueEngine = (model: XPrompt, jobs: JobQueue): Engine =>
  remoteModel(model, (kind, data, options) => jobs.run(kind, model.fingerprint, data, options));
