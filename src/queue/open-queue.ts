/**
 * @file The submitters' side of one queue. Outcomes come as events; jobs are also looked at every few seconds, for events
 * get lost when Redis or a connection ends.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Queue, QueueEvents } from "bullmq";
import type { Redis } from "ioredis";
import { loadOptional } from "../optional.ts";
import { abortable } from "../runtime/abort.ts";
import { buildWith } from "../runtime/resources.ts";
import { PACKAGES } from "./redis.ts";
import { cancelChannel, cancelMessage, isCancelled, KEPT_FOR, PREFIX } from "./wire.ts";

/** Milliseconds between two looks at the jobs that are waited for. */
const LOOK_EVERY = 2000;
/** Looks after which the lack of a worker is reported. */
const PATIENT_LOOKS = 5;
/** Most milliseconds that the end of a listener is waited for. */
const LISTENER_ENDS = 500;
/** Events that Redis keeps. */
const MOST_EVENTS = 1000;

export type Outcome =
  | { readonly state: "completed" }
  | { readonly state: "failed"; readonly reason: string }
  /** The job is not in Redis any more: somebody removed it, or Redis lost it. */
  | { readonly state: "gone" };

interface NewJob {
  readonly kind: string;
  readonly data: object;
  readonly priority: number;
}

interface Waiter {
  settle(outcome: Outcome): void;
  onProgress(progress: unknown): void;
}

export class OpenQueue {
  private readonly waiters = new Map<string, Set<Waiter>>();
  /** Submissions that are under way, by the id of their job: equal ones at the same time are one. */
  private readonly adding = new Map<string, Promise<void>>();
  private readonly timer: NodeJS.Timeout;
  private looking = false;
  private looks = 0;

  private constructor(
    readonly name: string,
    private readonly queue: Queue,
    private readonly events: QueueEvents,
    private readonly redis: Redis,
    private readonly onNoWorker: () => void,
  ) {
    events.on("completed", ({ jobId }) => this.settle(jobId, { state: "completed" }));
    events.on("failed", ({ jobId, failedReason: reason }) => this.settle(jobId, { state: "failed", reason }));
    events.on("progress", ({ jobId, data }) => {
      for (const waiter of this.waiters.get(jobId) ?? []) waiter.onProgress(data);
    });
    this.timer = setInterval(() => void this.look().catch(() => {}), LOOK_EVERY);
  }

  /** @param onNoWorker called now and then while jobs wait and no worker takes them */
  static async open(name: string, redis: Redis, onNoWorker: () => void): Promise<OpenQueue> {
    const { Queue, QueueEvents } = await loadOptional("submitting jobs", PACKAGES, () => import("bullmq"));
    const options = { connection: redis, prefix: PREFIX };
    const queue = new Queue(name, { ...options, streams: { events: { maxLen: MOST_EVENTS } } });
    const events = new QueueEvents(name, options);
    // The connection reports its own failures.
    queue.on("error", () => {});
    events.on("error", () => {});
    const opened = new OpenQueue(name, queue, events, redis, onNoWorker);
    return buildWith(async (resources) => {
      resources.own(opened);
      await events.waitUntilReady();
      return opened;
    });
  }

  /** Jobs that wait for a worker. */
  waiting(): Promise<number> {
    return this.queue.count();
  }

  /**
   * Adds a job, unless there is one of this id, and waits until it has ended.
   * @throws the signal's reason, once it is aborted; the job is cancelled then, unless another call here waits for it
   */
  async outcome(
    id: string,
    job: NewJob,
    { signal, onProgress = () => {} }: { signal?: AbortSignal; onProgress?(progress: unknown): void },
  ): Promise<Outcome> {
    let waiter: Waiter | undefined;
    const ended = new Promise<Outcome>((settle) => {
      waiter = { settle, onProgress };
      this.waiters.set(id, (this.waiters.get(id) ?? new Set()).add(waiter));
    });
    try {
      await this.addOnce(id, job);
      return await abortable(ended, signal);
    } finally {
      const others = this.waiters.get(id);
      others?.delete(waiter!);
      if (others?.size === 0) this.waiters.delete(id);
      if (signal?.aborted && !others?.size && this.redis.status === "ready") await this.cancel(id);
    }
  }

  /** Forgets a job that has ended, so that it can be added again. */
  async forget(id: string): Promise<void> {
    await this.queue.remove(id);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    // A listener that is connecting again never says that it has ended.
    const listener = Promise.race([this.events.close(), sleep(LISTENER_ENDS, undefined, { ref: false })]);
    await Promise.allSettled([listener, this.queue.close()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private addOnce(id: string, job: NewJob): Promise<void> {
    const made = this.adding.get(id) ?? this.add(id, job).finally(() => this.adding.delete(id));
    this.adding.set(id, made);
    return made;
  }

  private async add(id: string, { kind, data, priority }: NewJob): Promise<void> {
    const isFirst = this.waiters.get(id)?.size === 1;
    const former = await this.queue.getJob(id);
    // A failure of an earlier submission is not the outcome of this one.
    if (former?.failedReason && (isFirst || isCancelled(former.failedReason)))
      if (await former.isFailed()) await this.queue.remove(id);
    const kept = { age: KEPT_FOR };
    const options = { jobId: id, priority, attempts: 1, removeOnComplete: kept, removeOnFail: kept };
    await this.queue.add(kind, data, options);
    await this.lookAt(id);
  }

  private settle(id: string, outcome: Outcome): void {
    this.looks = 0;
    for (const waiter of this.waiters.get(id) ?? []) waiter.settle(outcome);
  }

  private async look(): Promise<void> {
    if (this.looking || this.waiters.size === 0) return;
    this.looking = true;
    try {
      // What is being added may still have the failure of an earlier submission.
      for (const id of [...this.waiters.keys()]) if (!this.adding.has(id)) await this.lookAt(id);
      if (++this.looks % PATIENT_LOOKS === 0 && (await this.queue.getWorkersCount()) === 0) this.onNoWorker();
    } finally {
      this.looking = false;
    }
  }

  private async lookAt(id: string): Promise<void> {
    const state = await this.queue.getJobState(id);
    if (state === "completed") this.settle(id, { state });
    else if (state === "unknown") this.settle(id, { state: "gone" });
    else if (state === "failed") {
      const job = await this.queue.getJob(id);
      this.settle(id, job ? { state, reason: job.failedReason } : { state: "gone" });
    }
  }

  /** Takes a job out of the queue, or ends it where it runs. */
  private async cancel(id: string): Promise<void> {
    const job = await this.queue.getJob(id);
    if (!job || (await this.queue.remove(id)) === 1) return;
    await this.redis.publish(cancelChannel(this.name), cancelMessage(job));
  }
}
