/**
 * Spreading work over many processes, with BullMQ and Redis.
 *
 * @module x-prompt/queue
 * @example
 * const jobs = await JobQueue.open({ url: "redis://127.0.0.1:6379" });
 * const model = await XPrompt.load("nano");
 * const remote = remoteModel(model, (kind, data, options) => jobs.run(kind, model.fingerprint, data, options));
 * const { images } = await remote.generate({ examples, input, seed: 1 });
 */
export { JobQueue, type JobQueueOptions, QueueRefusal, type RunOptions } from "./job-queue.ts";
export { type JobKind, modelKind, type RunningJob, type WorkerParts } from "./kind.ts";
export { jobKinds } from "./kinds/index.ts";
export { tokenize, tokenizeFingerprint, tokenizeProgress } from "./kinds/tokenize.ts";
export { checkRedis } from "./redis.ts";
export { type Ask, remoteModel } from "./remote-model.ts";
export { spreadOver } from "./shards.ts";
export { type RunningWorker, startWorker, type WorkerOptions } from "./worker.ts";
export { WorkerModel } from "./worker-model.ts";
