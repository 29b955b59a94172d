/** @file The engine of a server: concurrent requests share the steps of one model, or go to the workers of a queue. */
import { type JobQueue, remoteModel } from "../queue/index.ts";
import { Batcher } from "../xprompt/batcher.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { Engine } from "./services.ts";

/** An engine with threads for full size, which do not keep the process alive. */
export interface BatchedEngine extends Engine, AsyncDisposable {
  /** Ends the threads. The model stays loaded. */
  release(): Promise<void>;
}

/** A model with batched `generate` calls and a cache of compressed examples. The caller releases both. */
export function batchedEngine(model: XPrompt): BatchedEngine {
  const batcher = new Batcher(model);
  return {
    fingerprint: model.fingerprint,
    size: model.size,
    codesPerImage: model.codesPerImage,
    generate: batcher.generate.bind(batcher) as Engine["generate"],
    compress: batcher.compress.bind(batcher),
    describe: model.describe.bind(model),
    release: batcher.release.bind(batcher),
    [Symbol.asyncDispose]: batcher.release.bind(batcher),
  };
}

/** The workers of a queue. `model` is for its fingerprint, its tokenizers and the search of libraries. */
export const queueEngine = (model: XPrompt, jobs: JobQueue): Engine =>
  remoteModel(model, (kind, data, options) => jobs.run(kind, model.fingerprint, data, options));
