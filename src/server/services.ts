/** @file The services that the server's handlers share. */
import type { ExampleLibrary } from "../retrieval/index.ts";
import type { ExampleSource } from "../xprompt/example-source.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { BodyBudget } from "./body.ts";
import type { Jobs } from "./jobs.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { PromptStore } from "./prompt-store.ts";
import type { Queue } from "./queue.ts";

/** The generating model; `XPrompt` implements it. */
export type Engine = Pick<
  XPrompt,
  "generate" | "compress" | "describe" | "fingerprint" | "size" | "codesPerImage"
>;

export type Libraries = ReadonlyMap<string, ExampleLibrary>;

export interface Services {
  /** The model's name for clients. */
  readonly model: string;
  readonly engine: Engine;
  readonly libraries: Libraries;
  /** The libraries as sources of examples, by the same names. */
  readonly sources: ReadonlyMap<string, ExampleSource>;
  readonly queue: Queue;
  readonly bodies: BodyBudget;
  readonly prompts: PromptStore;
  readonly jobs: Jobs;
  readonly metrics: Metrics;
  readonly log: Log;
  /** The most pixels of an input picture. */
  readonly maxPixels: number;
  /** Folder of training runs, if the operator gives one. */
  readonly runs?: string;
  /** Start of the server, in seconds since 1970. */
  readonly started: number;
  /** Ends what the services measure. The queue, the engine and the libraries are the caller's to end. */
  close(): void;
}
