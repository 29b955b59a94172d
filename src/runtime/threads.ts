/** @file Worker threads that run source or built code, and a pool of them. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { errorOf, type Reply } from "./thread-jobs.ts";

/** The URL of a module beside the caller's, as source or built: `moduleBeside(import.meta.url, "pairs")`. */
export function moduleBeside(callerUrl: string, name: string): URL {
  return new URL(`./${name}${callerUrl.endsWith(".ts") ? ".ts" : ".js"}`, callerUrl);
}

/**
 * Starts a thread that runs `entry`. Node 20 does not apply `--import tsx` to threads, so a thread that runs
 * TypeScript registers tsx itself.
 * @param modules URLs of other modules that the thread will import
 */
export function startThread(entry: URL, workerData: unknown, modules: readonly string[] = []): Worker {
  const typescript = [entry.href, ...modules].some((url) => /\.[cm]?ts$/.test(url));
  if (!typescript) return new Worker(entry, { workerData, execArgv: [] });
  const tsx = import.meta.resolve("tsx/esm/api");
  const start = `import(${JSON.stringify(tsx)}).then(({ register }) => {
    register({ tsconfig: false });
    return import(${JSON.stringify(entry.href)});
  });`;
  return new Worker(start, { eval: true, workerData, execArgv: [] });
}

/** A number of threads; 0 lets onnxruntime decide: one per physical core. */
export const threadCount = z.int().min(0).max(1024);

/** How many processes `mpirun` started on this machine: they share its cores and memory. */
export const localProcesses = (): number => Number(process.env.OMPI_COMM_WORLD_LOCAL_SIZE ?? 1);

/** The default number of threads for work on the CPU. */
export const defaultThreads = (): number =>
  Math.max(1, Math.min(Math.floor(availableParallelism() / localProcesses()), 8));

/**
 * Milliseconds that a closing pool gives each thread to end its job. A thread that is ended while onnxruntime works in it
 * can end the whole process.
 */
const PATIENCE = 10_000;

interface PoolSetup {
  /** `workerData` of each thread. */
  readonly workerData?: unknown;
  /** URLs of modules that the threads will import. */
  readonly modules?: readonly string[];
  /** Milliseconds to wait for running jobs when the pool is closed. Defaults to ten seconds. */
  readonly patience?: number;
}

interface Task<Job, Answer> {
  readonly job: Job;
  readonly transfer: readonly ArrayBuffer[];
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * Threads that run one module, each with one job at a time. The module calls `answerJobs`. A thread starts when a job
 * needs it, also in place of one that failed. Idle threads do not keep the process alive.
 */
export class ThreadPool<Job, Answer> {
  private readonly workers: Worker[] = [];
  private readonly idle: Worker[] = [];
  private readonly busy = new Map<Worker, Task<Job, Answer>>();
  private readonly waiting: Task<Job, Answer>[] = [];
  private isClosed = false;

  /**
   * @param entry the module that each thread runs
   * @param threads the most threads
   */
  constructor(
    private readonly entry: URL,
    private readonly threads: number,
    private readonly setup: PoolSetup = {},
  ) {}

  /**
   * Runs a job and returns its answer. The buffers in `transfer` move to the thread and are detached here.
   * @param signal once aborted, a job that waits is given up, and the answer of one that runs is dropped
   * @throws what the work throws, an XPromptError with its code; Error when its thread ends
   * @throws DataCloneError for a job that cannot be sent to a thread, such as one whose buffers are detached
   * @throws XPromptError when the pool is closed
   * @throws the signal's reason when it is aborted
   */
  run(job: Job, transfer: readonly ArrayBuffer[] = [], signal?: AbortSignal): Promise<Answer> {
    let stop = () => {};
    const answer = new Promise<Answer>((resolve, reject) => {
      if (this.isClosed) return reject(closed());
      if (signal?.aborted) return reject(signal.reason);
      const task = { job, transfer, resolve, reject };
      stop = () => {
        const place = this.waiting.indexOf(task);
        if (place >= 0) this.waiting.splice(place, 1);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", stop);
      this.waiting.push(task);
      this.assign();
    });
    return answer.finally(() => signal?.removeEventListener("abort", stop));
  }

  /** Rejects all jobs, and ends the threads once their jobs have ended or take too long. Further calls do nothing. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const task of [...this.busy.values(), ...this.waiting]) task.reject(closed());
    this.waiting.length = 0;
    await Promise.all([...this.busy.keys()].map((worker) => this.untilIdle(worker)));
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  /** Resolves when a thread has answered or ended, or after the patience of the pool. */
  private untilIdle(worker: Worker): Promise<void> {
    const { patience = PATIENCE } = this.setup;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patience);
      for (const event of ["message", "exit"] as const)
        worker.once(event, () => {
          clearTimeout(timer);
          resolve();
        });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private spawn(): void {
    const worker = startThread(this.entry, this.setup.workerData, this.setup.modules);
    this.workers.push(worker);
    this.idle.push(worker);
    worker.on("message", (reply: Reply<Answer>) => {
      const task = this.busy.get(worker);
      this.busy.delete(worker);
      this.idle.push(worker);
      // A last message must not undo the reference by which `close` waits: the process would end meanwhile.
      if (!this.isClosed) worker.unref();
      if ("answer" in reply) task?.resolve(reply.answer);
      else task?.reject(errorOf(reply.failure));
      this.assign();
    });
    worker.on("error", (error) =>
      this.fail(worker, error instanceof Error ? error : new Error(String(error))),
    );
    worker.on("exit", (code) => {
      this.fail(worker, new Error(`a thread stopped with exit code ${code}`));
      this.workers.splice(this.workers.indexOf(worker), 1);
      this.assign();
    });
  }

  /** Rejects the job of a thread that ends, and gives it no other. */
  private fail(worker: Worker, reason: Error): void {
    this.busy.get(worker)?.reject(reason);
    this.busy.delete(worker);
    const place = this.idle.indexOf(worker);
    if (place >= 0) this.idle.splice(place, 1);
  }

  private assign(): void {
    while (this.waiting.length > 0) {
      if (this.idle.length === 0 && this.workers.length < this.threads) this.spawn();
      const worker = this.idle.pop();
      if (!worker) return;
      const task = this.waiting.shift()!;
      try {
        worker.postMessage(task.job, [...task.transfer]);
      } catch (error) {
        worker.unref();
        this.idle.push(worker);
        task.reject(error as Error);
        continue;
      }
      worker.ref();
      this.busy.set(worker, task);
    }
  }
}

const closed = (): XPromptError =>
  new XPromptError("running a job in a thread: expected an open pool, got one that was closed", {
    code: "ERR_RELEASED",
  });
