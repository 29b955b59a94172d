/**
 * @file Prefetches batches with worker threads, in order. A batch is a pure function of its step, so a run resumes
 * exactly with any number of workers.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf, XPromptError } from "../../errors.ts";
import { moduleBeside, ThreadPool } from "../../runtime/threads.ts";

/** The `createSource` export of a data module. Each worker calls it once, then requests one step at a time. */
export type CreateSource<T, Options> = (options: Options) => BatchOf<T> | Promise<BatchOf<T>>;

/**
 * Makes the batch of a step. Its ArrayBuffers are transferred to the caller: return new ones at every step. What the
 * source holds is released with the stream, or with its thread.
 */
export type BatchOf<T> = ((step: number) => T | Promise<T>) & Partial<AsyncDisposable>;

export interface SampleStreamOptions<Options> {
  /** A file that exports `createSource`: a path, or a URL as from `moduleBeside`. */
  readonly module: string | URL;
  /** Passed to `createSource`; must survive a structured clone. */
  readonly options: Options;
  /** Worker threads; 0 makes each batch in this thread when it is requested. */
  readonly workers: number;
  /** Number of prefetched batches. Defaults to twice `workers`. */
  readonly ahead?: number;
  /** The first step. Defaults to 0. */
  readonly from?: number;
}

/** Start data of a worker. */
export interface WorkerSetup {
  readonly module: string;
  readonly options: unknown;
}

/**
 * @example
 * await using stream = new SampleStream<Batch>({ module, options, workers: 2, from: resumedStep });
 * for (let step = resumedStep; step < steps; step++) await train(await stream.next());
 */
export class SampleStream<T, Options = unknown> implements AsyncIterable<T> {
  private readonly maker: Maker<T>;
  private readonly ahead: number;
  /** The batches of the next steps, finished or in progress. */
  private readonly pending: Promise<T>[] = [];
  private planned: number;
  private isClosed = false;

  /** Workers start at once and make the first `ahead` batches. */
  constructor({ module, options, workers, from = 0, ahead = 2 * workers }: SampleStreamOptions<Options>) {
    const setup = { module: moduleUrl(module), options };
    this.planned = from;
    this.ahead = workers === 0 ? 0 : ahead;
    this.maker = workers === 0 ? inThisThread(setup) : inThreads(setup, workers);
    this.plan(this.ahead);
  }

  /**
   * The batch of the next step: `from`, `from` + 1, … Calls may overlap.
   * @throws the error of the data module, with the step before its message; or an XPromptError once the stream is closed
   */
  async next(): Promise<T> {
    if (this.isClosed)
      throw new XPromptError("reading a stream of samples: expected an open one, got one that was closed", {
        code: "ERR_RELEASED",
      });
    this.plan(this.ahead + 1);
    return this.pending.shift()!;
  }

  /** Iterates without end. Leaving the loop closes the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      while (true) yield await this.next();
    } finally {
      await this.close();
    }
  }

  /**
   * Ends the workers once their present batches are made, after ten seconds at most. Pending calls of `next` reject.
   * Without workers, releases the source; no call of `next` may be pending.
   */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.maker.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Requests batches until `count` are pending. */
  private plan(count: number): void {
    while (this.pending.length < count) {
      const step = this.planned++;
      const batch = this.maker.make(step).catch((error: unknown) => {
        throw stepError(step, error);
      });
      batch.catch(() => {}); // A batch made ahead may fail before, or without, being requested.
      this.pending.push(batch);
    }
  }
}

/** Makes the batches of a stream. */
interface Maker<T> {
  make(step: number): Promise<T>;
  close(): Promise<void>;
}

/** Makes batches in this thread. The first one creates the source. */
function inThisThread<T>(setup: WorkerSetup): Maker<T> {
  let source: Promise<BatchOf<T>> | undefined;
  return {
    async make(step) {
      source ??= loadSource<T>(setup);
      return (await source)(step);
    },
    async close() {
      const batchOf = await source?.catch(() => undefined); // the steps have reported that error
      await batchOf?.[Symbol.asyncDispose]?.();
    },
  };
}

/** Makes batches in threads, each with a source of its own. */
function inThreads<T>(setup: WorkerSetup, workers: number): Maker<T> {
  const entry = moduleBeside(import.meta.url, "sample-worker");
  const pool = new ThreadPool<number, T>(entry, workers, { workerData: setup, modules: [setup.module] });
  return { make: (step) => pool.run(step), close: () => pool.close() };
}

/** Imports a data module and creates its source. */
export async function loadSource<T>({ module, options }: WorkerSetup): Promise<BatchOf<T>> {
  const { createSource } = (await import(/* @vite-ignore */ module)) as Record<string, unknown>;
  if (typeof createSource !== "function") {
    throw new TypeError(
      `${module}: expected it to export the function createSource, got ${typeof createSource}`,
    );
  }
  return (createSource as CreateSource<T, unknown>)(options);
}

function stepError(step: number, error: unknown): Error {
  const message = `making the batch of step ${step}: ${messageOf(error)}`;
  const options = { cause: error };
  return error instanceof XPromptError ? new XPromptError(message, options) : new Error(message, options);
}

const moduleUrl = (module: string | URL): string =>
  module instanceof URL || /^(file|data|node):/.test(module)
    ? String(module)
    : pathToFileURL(resolve(module)).href;
