/** @file The contract between the training loop and what it trains, and the settings that every run has. */
import { z } from "zod";
import type { Image } from "../../image/index.ts";
import { devices } from "../../runtime/session-options.ts";
import { defaultThreads, threadCount } from "../../runtime/threads.ts";
import type { Collective } from "../distributed/collective.ts";
import { optimizerSchema } from "../optimizer/optimizer.ts";
import { scheduleSchema } from "../optimizer/schedule.ts";
import type { Extras, Inputs } from "./checkpoint.ts";
import type { Mirror } from "./mirror.ts";
import type { TrainingState } from "./state.ts";
import type { SampleStream } from "./workers.ts";

/** Settings of every kind of recipe. */
export const runSettings = {
  seed: z.int().min(0).default(1),
  steps: z.int().min(1),
  optimizer: optimizerSchema.prefault({}),
  schedule: scheduleSchema.prefault({}),
  /** Steps between lines of metrics. */
  logEvery: z.int().min(1).default(10),
  /** Steps between evaluations on held-out samples. */
  evaluateEvery: z.int().min(1).default(250),
  /** Steps between contact sheets. */
  sheetEvery: z.int().min(1).default(500),
  /** Steps between checkpoints. */
  checkpointEvery: z.int().min(1).default(250),
  /** Worker threads that make batches. */
  workers: z.int().min(0).max(64).default(1),
  /**
   * Compute threads. Defaults to the number of available cores, at most 8, divided by the processes that `mpirun` started on
   * this machine. Results depend on this number: set it in a recipe that others should reproduce exactly.
   */
  threads: threadCount.default(defaultThreads),
  device: z.enum(devices).default("cpu"),
};

export type RunSettings = z.output<z.ZodObject<typeof runSettings>>;

/**
 * The metrics of a step, including `loss` and perhaps `gradientNorm`, and the number of units in the batch: of the whole
 * batch in every process.
 */
export interface StepOutcome {
  readonly metrics: Readonly<Record<string, number>>;
  readonly units: number;
}

/** A prepared training task. The training loop drives it. */
export interface TrainingTask<Batch> {
  readonly recipe: RunSettings & { readonly kind: string };
  readonly state: TrainingState;
  /** The processes that share every batch. One by default. */
  readonly collective?: Collective;
  /** Estimated memory in bytes. */
  readonly memory: number;
  /** Arrays that checkpoints store besides the state. */
  readonly extras: Extras;
  /**
   * Shares of the run at which a phase begins, such as weight averaging. Until the first one begins, the number of steps
   * may still change.
   */
  readonly phases?: readonly number[];
  readonly inputs?: Inputs;
  /** Reasons for skipping broken records of data sets, by record. */
  readonly skipped?: ReadonlyMap<string, string>;
  /** Unit of the displayed throughput. */
  readonly unit: "tokens" | "pictures";
  /** The batches, starting at step `from`. */
  batches(from: number): SampleStream<Batch>;
  /** Runs one step on this process's part of a batch. */
  step(batch: Batch, learningRate: number): Promise<StepOutcome>;
  /** Measures held-out samples. */
  evaluate(): Promise<Record<string, number>>;
  /** A contact sheet of the current model's results, if it can generate pictures. */
  sheet(): Promise<Image | undefined>;
  /** Writes the model to a new folder, or replaces an older one. */
  release(folder: string): Promise<void>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly out: string;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Where checkpoints and the model are copied to. */
  readonly mirror?: Mirror;
}

export interface RunResult {
  readonly steps: number;
  /** Loss of the last batch. It depends on the kind of that batch: compare runs by `heldOut`. */
  readonly loss: number;
  /** Held-out measurements at step 0 and after the last step. */
  readonly heldOut: {
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  };
  /** Folder of the last checkpoint. */
  readonly checkpoint: string;
  /** Folder for `--model`. */
  readonly model: string;
  /** SHA-256 of the last trained weights. What is released may be their mean, or mixed with the initial ones. */
  readonly digest: string;
  /** Number of broken records that this run skipped since it was started or resumed. */
  readonly skipped: number;
  readonly seconds: number;
}
