/**
 * @file Batches made ahead of time by worker threads, handed out in order. A batch is a pure function of its step, so
 * a run resumes exactly, and with any number of workers.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Worker } from "node:worker_threads";
import { messageOf, XPromptError } from "../../errors.ts";
import { moduleBeside, startThread } from "../../runtime/threads.ts";

export { moduleBeside } from "../../runtime/threads.ts";

/** What a module of data exports as `createSource`: made once in every worker, then asked for one step at a time. */
export type CreateSource<T, Options> = (options: Options) => BatchOf<T> | Promise<BatchOf<T>>;

/** Its ArrayBuffers move to the caller: return fresh ones at every step. */
export type BatchOf<T> = (step: number) => T | Promise<T>;

export interface SampleStreamOptions<Options> {
  /** A file that exports `createSource`: a path, or a URL as from `moduleBeside`. */
  readonly module: string | URL;
  /** Given to `createSource`; must survive a structured clone. */
  readonly options: Options;
  /** Worker threads; 0 makes each batch in this thread when it is asked for. */
  readonly workers: number;
  /** How many batches may be ready or in the making beyond those asked for. Defaults to twice `workers`. */
  readonly ahead?: number;
  /** The first step. Defaults to 0. */
  readonly from?: number;
}

/** What a worker starts with. */
export interface WorkerSetup {
  readonly module: string;
  readonly options: unknown;
}

/** What a worker answers to a step. */
export type WorkerAnswer = { step: number; batch: unknown } | { step: number; error: Error; ours: boolean };

interface Slot<T> {
  readonly promise: Promise<T>;
  resolve(batch: T): void;
  reject(error: Error): void;
}

/**
 * @example
 * const stream = new SampleStream<Batch>({ module, options, workers: 2, from: resumedStep });
 * try {
 *   for (let step = resumedStep; step < steps; step++) await train(await stream.next());
 * } finally {
 *   await stream.close();
 * }
 */
export class SampleStream<T, Options = unknown> implements AsyncIterable<T> {
  private readonly module: string;
  private readonly ahead: number;
  private readonly crew = new Map<Worker, number | undefined>();
  private readonly slots = new Map<number, Slot<T>>();
  private readonly waiting: number[] = [];
  private inline: Promise<BatchOf<T>> | undefined;
  private asked: number;
  private planned: number;
  private ended: Error | undefined;

  /** Workers start at once and fill the look-ahead before the first `next`. */
  constructor(private readonly config: SampleStreamOptions<Options>) {
    const { module, workers, from = 0, ahead = 2 * workers } = config;
    this.module = module instanceof URL || /^(file|data|node):/.test(module) ? `${module}` : fileUrl(module);
    this.ahead = ahead;
    this.asked = from;
    this.planned = from;
    for (let i = 0; i < workers; i++) this.hire();
    this.plan();
  }

  /**
   * The batch of the next step: `from`, `from` + 1, … Calls may overlap.
   * @throws the error of the data module, its message led by the step; or when the stream is closed
   */
  async next(): Promise<T> {
    if (this.ended) throw this.ended;
    const step = this.asked++;
    if (this.config.workers === 0) return this.makeHere(step);
    this.plan();
    try {
      return await this.slots.get(step)!.promise;
    } finally {
      this.slots.delete(step);
    }
  }

  /** Endless; leaving the loop closes the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      while (true) yield await this.next();
    } finally {
      await this.close();
    }
  }

  /** Ends the workers without waiting for the batches in the making; whoever awaits one gets an error. */
  async close(): Promise<void> {
    this.end(new Error("SampleStream: closed"));
    await Promise.all([...this.crew.keys()].map((worker) => worker.terminate()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async makeHere(step: number): Promise<T> {
    try {
      this.inline ??= loadSource<T>({ module: this.module, options: this.config.options });
      const batchOf = await this.inline;
      return await batchOf(step);
    } catch (error) {
      throw stepError(step, error, error instanceof XPromptError);
    }
  }

  /** Makes sure that every step asked for, and `ahead` more, is under way or queued. */
  private plan(): void {
    if (this.config.workers === 0) return;
    for (; this.planned < this.asked + this.ahead; this.planned++) {
      this.slots.set(this.planned, slot<T>());
      this.waiting.push(this.planned);
    }
    for (const [worker, busy] of this.crew) {
      if (busy !== undefined) continue;
      const step = this.waiting.shift();
      if (step === undefined) return;
      this.crew.set(worker, step);
      worker.postMessage(step);
    }
  }

  private hire(): void {
    const setup: WorkerSetup = { module: this.module, options: this.config.options };
    const worker = startThread(moduleBeside(import.meta.url, "sample-worker"), setup, [this.module]);
    this.crew.set(worker, undefined);
    worker.on("message", (answer: WorkerAnswer) => {
      this.crew.set(worker, undefined);
      const due = this.slots.get(answer.step);
      if ("error" in answer) due?.reject(stepError(answer.step, answer.error, answer.ours));
      else due?.resolve(answer.batch as T);
      if (!this.ended) this.plan();
    });
    worker.on("error", (error) => this.end(new Error(`SampleStream: ${messageOf(error)}`, { cause: error })));
    worker.on("exit", (code) => this.end(new Error(`SampleStream: a worker stopped with exit code ${code}`)));
  }

  /** No more batches: what is awaited fails with `reason`. The first reason stays. */
  private end(reason: Error): void {
    this.ended ??= reason;
    for (const due of this.slots.values()) due.reject(this.ended);
  }
}

/** Imports a data module and makes its source. */
export async function loadSource<T>({ module, options }: WorkerSetup): Promise<BatchOf<T>> {
  const { createSource } = (await import(/* @vite-ignore */ module)) as Record<string, unknown>;
  if (typeof createSource !== "function") {
    throw new TypeError(
      `${module}: expected it to export the function createSource, got ${typeof createSource}`,
    );
  }
  return (createSource as CreateSource<T, unknown>)(options);
}

function stepError(step: number, error: unknown, ours: boolean): Error {
  const message = `making the batch of step ${step}: ${messageOf(error)}`;
  return ours ? new XPromptError(message, { cause: error }) : new Error(message, { cause: error });
}

function slot<T>(): Slot<T> {
  let settle: Omit<Slot<T>, "promise"> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => {}); // A batch made ahead may fail before, or without, being asked for.
  return { promise, ...settle! };
}

function fileUrl(path: string): string {
  return pathToFileURL(resolve(path)).href;
}
