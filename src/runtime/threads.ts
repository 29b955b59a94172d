/** @file Worker threads whose code may be source or built, and a pool of them that answers jobs. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { z } from "zod";

/** The URL of a module next to the caller's, as source or as built: `moduleBeside(import.meta.url, "pairs")`. */
export function moduleBeside(callerUrl: string, name: string): URL {
  return new URL(`./${name}${callerUrl.endsWith(".ts") ? ".ts" : ".js"}`, callerUrl);
}

/**
 * Starts a thread that runs `entry`. Node 20 does not apply `--import tsx` to threads: where anything is TypeScript,
 * tsx is registered inside.
 * @param modules what else the thread will import
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

/** How many threads may be asked for; 0 is one for each core. */
export const threadCount = z.int().min(0).max(1024);

/** Threads for CPU work where the user has not said how many. */
export const defaultThreads = (): number => Math.min(availableParallelism(), 8);

interface Task<Job, Answer> {
  readonly job: Job;
  readonly transfer: readonly ArrayBuffer[];
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** Threads of one module that each do one job at a time: the module receives jobs as messages and posts one answer each. */
export class ThreadPool<Job, Answer> {
  private readonly idle: Worker[] = [];
  private readonly busy = new Map<Worker, Task<Job, Answer>>();
  private readonly waiting: Task<Job, Answer>[] = [];
  private ended: Error | undefined;

  constructor(entry: URL, threads: number) {
    for (let i = 0; i < threads; i++) this.hire(startThread(entry, undefined));
  }

  /**
   * The answer to a job. What is in `transfer` moves to the thread and is gone here.
   * @throws Error when a thread fails, or the pool is closed
   */
  run(job: Job, transfer: readonly ArrayBuffer[] = []): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.ended);
      this.waiting.push({ job, transfer, resolve, reject });
      this.assign();
    });
  }

  /** Ends the threads without waiting for their jobs. */
  async close(): Promise<void> {
    const workers = [...this.idle, ...this.busy.keys()];
    this.end(new Error("the threads were closed"));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private hire(worker: Worker): void {
    this.idle.push(worker);
    worker.on("message", (answer: Answer) => {
      const task = this.busy.get(worker);
      this.busy.delete(worker);
      this.idle.push(worker);
      task?.resolve(answer);
      this.assign();
    });
    worker.on("error", (error) => this.end(error instanceof Error ? error : new Error(String(error))));
    worker.on("exit", (code) => this.end(new Error(`a thread stopped with exit code ${code}`)));
  }

  private assign(): void {
    while (this.idle.length > 0 && this.waiting.length > 0) {
      const [worker, task] = [this.idle.pop()!, this.waiting.shift()!];
      this.busy.set(worker, task);
      worker.postMessage(task.job, [...task.transfer]);
    }
  }

  /** Whoever waits for an answer gets `reason`. The first reason stays. */
  private end(reason: Error): void {
    this.ended ??= reason;
    for (const task of [...this.busy.values(), ...this.waiting]) task.reject(this.ended);
    this.busy.clear();
    this.waiting.length = 0;
  }
}
