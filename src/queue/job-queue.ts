/**
 * @file Handing out jobs. A job is named by its content: submitted twice, by anybody, it runs once, and a job that Redis
 * lost is submitted again.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { z } from "zod";
import { XPromptError } from "../errors.ts";
import { abortable } from "../runtime/abort.ts";
import { Once } from "../runtime/once.ts";
import { checkedResult } from "./data.ts";
import type { JobKind } from "./kind.ts";
import { OpenQueue } from "./open-queue.ts";
import { closeRedis, type OpenOptions, openRedis, shownUrl } from "./redis.ts";
import { failureIn, isCancelled, jobIdOf, MAX_DATA, queueName, resultKey } from "./wire.ts";

/** Milliseconds between two looks at a full queue. */
const LOOK_EVERY = 250;
/** Seconds after which a submitter that was refused may come again. */
const RETRY_AFTER = 5;

export interface JobQueueOptions extends OpenOptions {
  /** Jobs of a kind that may wait for a worker. Defaults to 1000. */
  readonly limit?: number;
  /** Wait for a place in a full queue, and for Redis when it is away, instead of refusing. Defaults to true. */
  readonly waits?: boolean;
  /** From 1, first, to 100. Defaults to 10. */
  readonly priority?: number;
  readonly log?: (line: string) => void;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  onProgress?(progress: unknown): void;
}

/** The queue is full, or Redis is away: try again later. */
export class QueueRefusal extends XPromptError {
  override name = "QueueRefusal";
  /** Seconds after which to try again. */
  readonly retryAfter = RETRY_AFTER;

  constructor(
    readonly reason: "full" | "away",
    message: string,
  ) {
    super(message, { code: "ERR_QUEUE" });
  }
}

export class JobQueue {
  private readonly queues = new Map<string, Once<OpenQueue>>();

  private constructor(
    private readonly redis: Redis,
    private readonly options: JobQueueOptions,
  ) {}

  /** @throws XPromptError ERR_QUEUE when Redis is away */
  static async open(options: JobQueueOptions): Promise<JobQueue> {
    return new JobQueue(await openRedis(options), options);
  }

  /**
   * Has a worker run a job.
   * @param fingerprint of the model that must run it
   * @throws what the worker throws, as far as it is an XPromptError
   * @throws QueueRefusal where the queue does not wait
   * @throws the signal's reason, once it is aborted: the job is cancelled
   */
  run<D extends z.ZodType, R extends z.ZodType>(
    kind: JobKind<D, R>,
    fingerprint: string,
    data: z.input<D> & object,
    options: RunOptions = {},
  ): Promise<z.output<R>> {
    const { signal } = options;
    // While Redis is away nothing can be cancelled, and commands wait.
    return abortable(
      this.runNow(kind, fingerprint, data, options),
      signal,
      () => this.redis.status !== "ready",
    );
  }

  private async runNow<D extends z.ZodType, R extends z.ZodType>(
    kind: JobKind<D, R>,
    fingerprint: string,
    data: z.input<D> & object,
    options: RunOptions,
  ): Promise<z.output<R>> {
    const text = JSON.stringify(data);
    if (text.length > MAX_DATA)
      throw new XPromptError(
        `submitting a job of kind ${kind.name}: expected at most ${MAX_DATA} bytes of pictures and text, got ${text.length} (send fewer or smaller pictures)`,
      );
    this.checkConnection();
    const queue = await this.queueOf(kind, fingerprint);
    const id = jobIdOf(kind.name, fingerprint, text);
    const job = { kind: kind.name, data, priority: this.options.priority ?? 10 };
    for (;;) {
      await this.placeIn(queue, options.signal);
      const outcome = await queue.outcome(id, job, options).catch((error: unknown) => {
        throw this.refusalOf(error);
      });
      if (outcome.state === "failed") {
        // Somebody else did not want it any more.
        if (!isCancelled(outcome.reason)) throw failureIn(outcome.reason);
      } else if (outcome.state === "completed") {
        const result = await this.redis.get(resultKey(queue.name, id));
        if (result !== null) return checkedResult(kind, JSON.parse(result));
        await queue.forget(id);
      }
    }
  }

  async close(): Promise<void> {
    const isAway = this.redis.status !== "ready";
    if (isAway) this.redis.disconnect();
    await Promise.allSettled([...this.queues.values()].map(async (made) => (await made.ifMade())?.close()));
    await closeRedis(this.redis);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private queueOf(kind: JobKind, fingerprint: string): Promise<OpenQueue> {
    const name = queueName(kind.name, fingerprint);
    const option = kind.workerOption ?? "--model";
    const of = option === "--model" ? ` for model ${fingerprint}` : "";
    const { url, log = () => {} } = this.options;
    const made =
      this.queues.get(name) ??
      new Once(() =>
        OpenQueue.open(name, this.redis, () =>
          log(
            `no worker takes jobs of kind ${kind.name}${of}: start one with xprompt worker --redis ${shownUrl(url)} ${option} …`,
          ),
        ),
      );
    this.queues.set(name, made);
    return made.get();
  }

  /** Waits for a place in a queue. @throws QueueRefusal */
  private async placeIn(queue: OpenQueue, signal?: AbortSignal): Promise<void> {
    const { limit = 1000, waits = true } = this.options;
    for (;;) {
      signal?.throwIfAborted();
      this.checkConnection();
      if ((await queue.waiting()) < limit) return;
      if (!waits)
        throw new QueueRefusal(
          "full",
          `submitting a job: expected fewer than ${limit} jobs that wait, got a full queue (try again later, or start more workers)`,
        );
      await sleep(LOOK_EVERY, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  /** Redis's refusals, such as for want of memory, are its operator's to mend. Other errors stay what they are. */
  private refusalOf(error: unknown): unknown {
    if (!(error instanceof Error) || error.name !== "ReplyError") return error;
    const message = `submitting a job: expected Redis at ${shownUrl(this.options.url)} to take it, got: ${error.message} (see its memory, disk and rights)`;
    return new QueueRefusal("away", message);
  }

  private checkConnection(): void {
    if (this.options.waits !== false || this.redis.status === "ready") return;
    throw new QueueRefusal(
      "away",
      `submitting a job: expected Redis at ${shownUrl(this.options.url)}, got no connection (try again later)`,
    );
  }
}
