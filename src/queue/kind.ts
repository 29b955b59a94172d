/**
 * @file A kind of job: what goes in, what comes out, and the work between. To add one, write a file in `kinds/` and list
 * it in `kinds/index.ts`.
 */
import type { z } from "zod";
import type { ServerOptions } from "../tasks/captioner/server.ts";
import type { WorkerModel } from "./worker-model.ts";

/** What a worker computes with. */
export interface WorkerParts {
  readonly model?: WorkerModel;
  /** A vision-language model on a server. */
  readonly captioner?: Omit<ServerOptions, "signal">;
  /** Where tokenized data goes: a folder, or `s3://bucket/prefix`. */
  readonly tokens?: string;
}

/** A job while it runs. */
export interface RunningJob {
  /** Aborts when the submitter cancels the job. */
  readonly signal: AbortSignal;
  /** Sends progress to the submitter. */
  onProgress(progress: object): Promise<void>;
}

export interface JobKind<D extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> {
  /** Part of the name of the queue. */
  readonly name: string;
  /** The option of `xprompt worker` without which it takes no such jobs. Defaults to `--model`. */
  readonly workerOption?: string;
  /** Of JSON: what the submitter sends. It decides the result, together with the fingerprint. */
  readonly data: D;
  /** Of JSON: what the worker sends back. */
  readonly result: R;
  /** Names what the result depends on beside the data. Undefined where the worker lacks it: it takes no such jobs. */
  fingerprint(parts: WorkerParts): string | undefined;
  /** @throws XPromptError for data that cannot be worked on: the job fails, and the worker goes on */
  handle(data: z.output<D>, parts: WorkerParts, job: RunningJob): Promise<z.output<R>>;
}

/** A kind of job that a model does. */
export function modelKind<D extends z.ZodType, R extends z.ZodType>(spec: {
  readonly name: string;
  readonly data: D;
  readonly result: R;
  handle(data: z.output<D>, model: WorkerModel, job: RunningJob): Promise<z.output<R>>;
}): JobKind<D, R> {
  return {
    ...spec,
    fingerprint: ({ model }) => model?.fingerprint,
    handle: (data, { model }, job) => spec.handle(data, model!, job),
  };
}
