/**
 * Serving a model over HTTP, from your own program.
 *
 * @module x-prompt/server
 */
export { type BatchedEngine, batchedEngine, queueEngine } from "./engine.ts";
export { Keys } from "./keys.ts";
export { jsonLog, type Level, type Log } from "./log.ts";
export { defaultLimits, type Limits } from "./make-services.ts";
export { type Running, type ServeOptions, serve } from "./serve.ts";
export type { Engine, Libraries, Services } from "./services.ts";
