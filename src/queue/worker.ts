/**
 * @file A worker: takes jobs from Redis, runs them, and leaves their results there. It may end at any time: what it had
 * begun goes to another worker once its lock has run out.
 */
import type { Job, Worker as QueueWorker } from "bullmq";
import type { Redis } from "ioredis";
import { messageOf } from "../errors.ts";
import { loadOptional } from "../optional.ts";
import { buildWith, type Resources } from "../runtime/resources.ts";
import { checkedData } from "./data.ts";
import type { JobKind, WorkerParts } from "./kind.ts";
import { closeRedis, type OpenOptions, openRedis, PACKAGES } from "./redis.ts";
import { cancelChannel, cancelMessage, failureText, KEPT_FOR, PREFIX, queueName, resultKey } from "./wire.ts";

/** Workers that may end while they run a job, one after another, before the job is given up. */
const MOST_DEATHS = 20;
/** Cancellations that are remembered, for jobs that begin a moment later. */
const REMEMBERED = 1000;

export interface WorkerOptions extends OpenOptions {
  readonly kinds: readonly JobKind[];
  readonly parts: WorkerParts;
  /** Jobs of each kind that run at once. Defaults to 4. */
  readonly concurrency?: number;
  /** Seconds after which the jobs of a worker that has ended go to others. Defaults to 30. */
  readonly lockSeconds?: number;
  readonly log?: (line: string) => void;
}

export interface RunningWorker extends AsyncDisposable {
  /** The queues that it takes jobs from. */
  readonly queues: readonly string[];
  /** Takes no more jobs, and ends once those that run have ended. */
  close(): Promise<void>;
}

/** Starts to take jobs. @throws XPromptError when Redis is away */
export function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  return buildWith(async (resources) => {
    const redis = await openRedis(options);
    resources.defer(() => closeRedis(redis));
    const cancellations = await Cancellations.listen(redis, resources);
    const queues: string[] = [];
    for (const kind of options.kinds) {
      const fingerprint = kind.fingerprint(options.parts);
      if (fingerprint === undefined) continue;
      const queue = queueName(kind.name, fingerprint);
      await cancellations.follow(queue);
      const worker = await takeJobs(queue, kind, redis, cancellations, options);
      // Without Redis the results of running jobs have nowhere to go.
      resources.defer(() => worker.close(redis.status !== "ready"));
      queues.push(queue);
    }
    const close = () => resources.release();
    return { queues, close, [Symbol.asyncDispose]: close };
  });
}

async function takeJobs(
  queue: string,
  kind: JobKind,
  redis: Redis,
  cancellations: Cancellations,
  { parts, concurrency = 4, lockSeconds = 30, log = () => {} }: WorkerOptions,
): Promise<QueueWorker> {
  const { Worker } = await loadOptional("taking jobs", PACKAGES, () => import("bullmq"));
  const run = async (job: Job): Promise<null> => {
    const cancellation = cancellations.begin(job);
    const { signal } = cancellation;
    try {
      signal.throwIfAborted();
      // An earlier run of this job lost its lock but stored its result. Without this, a slow machine would repeat it forever.
      const key = resultKey(queue, job.id!);
      if ((await redis.exists(key)) === 1) return null;
      const result = await kind.handle(checkedData(kind, job.data), parts, {
        signal,
        onProgress: async (progress) => {
          if (!signal.aborted) await job.updateProgress(progress);
        },
      });
      signal.throwIfAborted();
      await redis.set(key, JSON.stringify(result), "EX", 2 * KEPT_FOR);
      // The pictures of a job are needed no longer, but BullMQ keeps jobs until others end.
      await job.updateData({}).catch(() => {});
      return null;
    } catch (error) {
      const text = failureText(error, signal.aborted);
      if (!signal.aborted) log(`job ${job.id} of kind ${kind.name} failed: ${messageOf(error)}`);
      throw new Error(text);
    } finally {
      cancellation.end();
    }
  };
  const worker = new Worker(queue, run, {
    connection: redis,
    prefix: PREFIX,
    concurrency,
    lockDuration: lockSeconds * 1000,
    stalledInterval: lockSeconds * 1000,
    maxStalledCount: MOST_DEATHS,
    // Milliseconds between attempts to take a job while Redis is away.
    runRetryDelay: 1000,
  });
  let last = "";
  worker.on("error", (error) => {
    // The connection itself reports that it is lost.
    const isConnection = "syscall" in error || /connection is closed/i.test(error.message);
    if (!isConnection && error.message !== last) log(`queue ${queue}: ${error.message}`);
    last = error.message;
  });
  return buildWith(async (resources) => {
    resources.defer(() => worker.close(true));
    await worker.waitUntilReady();
    return worker;
  });
}

/** Ends jobs that nobody wants any more. */
class Cancellations {
  private readonly running = new Map<string, AbortController>();
  private readonly latest = new Set<string>();
  private readonly channels: string[] = [];

  private constructor(private readonly subscriber: Redis) {
    subscriber.on("ready", () => {
      if (this.channels.length > 0) subscriber.subscribe(...this.channels).catch(() => {});
    });
    subscriber.on("message", (_channel: string, message: string) => {
      this.running.get(message)?.abort();
      this.latest.add(message);
      for (const oldest of this.latest) {
        if (this.latest.size <= REMEMBERED) return;
        this.latest.delete(oldest);
      }
    });
  }

  static async listen(redis: Redis, resources: Resources): Promise<Cancellations> {
    // With `autoResubscribe`, ioredis ends the process if the connection breaks while it subscribes again.
    const subscriber = redis.duplicate({ autoResubscribe: false });
    subscriber.on("error", () => {}); // the other connection reports it
    resources.defer(() => closeRedis(subscriber));
    return new Cancellations(subscriber);
  }

  async follow(queue: string): Promise<void> {
    const channel = cancelChannel(queue);
    this.channels.push(channel);
    await this.subscriber.subscribe(channel);
  }

  begin(job: Job): { readonly signal: AbortSignal; end(): void } {
    const key = cancelMessage(job);
    const controller = new AbortController();
    this.running.set(key, controller);
    if (this.latest.has(key)) controller.abort();
    return { signal: controller.signal, end: () => this.running.delete(key) };
  }
}
