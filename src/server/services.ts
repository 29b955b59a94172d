/** @file What the handlers of the server share. */
import type { ExampleLibrary } from "../retrieval/index.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { BodyBudget } from "./body.ts";
import type { Jobs } from "./jobs.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { PromptStore } from "./prompt-store.ts";
import type { Queue } from "./queue.ts";

/** What draws: an `XPrompt` is one. */
export type Engine = Pick<
  XPrompt,
  "generate" | "compress" | "describe" | "fingerprint" | "size" | "codesPerImage"
>;

export type Libraries = ReadonlyMap<string, ExampleLibrary>;

export interface Services {
  /** What clients call the model. */
  readonly model: string;
  readonly engine: Engine;
  readonly libraries: Libraries;
  readonly queue: Queue;
  readonly bodies: BodyBudget;
  readonly prompts: PromptStore;
  readonly jobs: Jobs;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Most pixels of a picture that comes in. */
  readonly maxPixels: number;
  /** Folder of training runs, where the operator names one. */
  readonly runs?: string;
  /** Seconds since 1970 when the server began. */
  readonly started: number;
}
