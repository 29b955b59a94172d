/** @file A Redis of the test's own, in a temporary folder, and kinds of jobs that the test holds in its hand. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll } from "vitest";
import { z } from "zod";
import {
  type JobKind,
  JobQueue,
  type JobQueueOptions,
  type RunningWorker,
  startWorker,
  type WorkerOptions,
} from "../../src/queue/index.ts";

/** Whether Debian's redis-server is installed. */
export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;

/** What a skipped test says. */
export const needed = hasRedis ? "" : " (skipped: needs redis-server, apt-get install redis-server)";

/** A Redis on a socket in a folder of its own, which keeps an append-only file. Ends after the tests of the file. */
export async function redisServer() {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-redis-"));
  const socket = join(folder, "redis.sock");
  let server: ChildProcess | undefined;
  const start = async () => {
    server = spawn(
      "redis-server",
      [
        ...["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""],
        ...["--appendonly", "yes", "--appendfsync", "always"],
      ],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    for await (const line of server.stdout!) if (/ready to accept connections/i.test(String(line))) break;
    server.stdout!.resume();
  };
  /** Ends at once, as a machine does that loses its power. */
  const kill = async () => {
    if (server?.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  };
  /** Forgets everything. */
  const wipe = () => rm(join(folder, "appendonlydir"), { recursive: true, force: true });
  if (hasRedis) await start();
  afterAll(async () => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  });
  return { url: `unix://${socket}`, folder, start, kill, wipe };
}

/** A queue and workers of a Redis, closed after the tests of the file. */
export function clientsOf(url: string) {
  const open: { close(): Promise<void> }[] = [];
  afterAll(async () => {
    for (const each of open.reverse()) await each.close();
  });
  const owned = async <T extends { close(): Promise<void> }>(made: Promise<T>): Promise<T> => {
    open.push(await made);
    return made;
  };
  const queue = (options: Partial<JobQueueOptions> = {}): Promise<JobQueue> =>
    owned(JobQueue.open({ url, ...options }));
  const worker = (kinds: readonly JobKind[], options: Partial<WorkerOptions> = {}): Promise<RunningWorker> =>
    owned(startWorker({ url, kinds, parts: {}, ...options }));
  /** What BullMQ sees of a queue. */
  const rawQueue = (name: string): Queue => {
    const connection = new Redis({ path: url.slice("unix://".length), maxRetriesPerRequest: null });
    const raw = new Queue(name, { connection, prefix: "xprompt" });
    // The connection ends with Redis in some of the tests.
    connection.on("error", () => {});
    raw.on("error", () => {});
    open.push({
      close: async () => {
        await raw.close();
        connection.disconnect();
      },
    });
    return raw;
  };
  return { queue, worker, rawQueue };
}

const data = z.strictObject({ number: z.int() });
const result = z.object({ square: z.int() });

/** Squares a number when the test lets it. */
export function heldKind(name: string) {
  const begun: number[] = [];
  const aborted: number[] = [];
  const waiting = new Map<number, () => void>();
  let isFree = false;
  const onChange = new Set<() => void>();
  const changed = () => {
    for (const each of onChange) each();
  };
  const kind: JobKind<typeof data, typeof result> = {
    ...{ name, data, result },
    fingerprint: () => "test",
    async handle({ number }, _parts, { signal, onProgress }) {
      begun.push(number);
      await onProgress({ number });
      changed();
      if (!isFree)
        await new Promise<void>((resolve, reject) => {
          waiting.set(number, resolve);
          signal.addEventListener("abort", () => {
            aborted.push(number);
            changed();
            reject(signal.reason);
          });
        });
      return { square: number ** 2 };
    },
  };
  return {
    kind,
    begun,
    aborted,
    /** Lets all jobs end, those to come as well. */
    free: () => {
      isFree = true;
      for (const release of waiting.values()) release();
    },
    /** Settles when a condition holds, which is looked at whenever a job begins or is aborted. */
    when: (holds: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!holds()) return;
          onChange.delete(look);
          resolve();
        };
        onChange.add(look);
        look();
      }),
  };
}
