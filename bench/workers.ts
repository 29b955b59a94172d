/**
 * @file `bench workers`: jobs over several workers, of which one is killed with SIGKILL every few seconds and another
 * started. Counts results that are lost, and jobs that have ended twice. Brings a Redis of its own, in a temporary folder.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue, QueueEvents } from "bullmq";
import type { Command } from "commander";
import { Redis } from "ioredis";
import { XPromptError } from "../src/errors.ts";
import { toBytes } from "../src/image/index.ts";
import { JobQueue, remoteModel } from "../src/queue/index.ts";
import { Random } from "../src/random.ts";
import { Resources } from "../src/runtime/resources.ts";
import { XPrompt } from "../src/xprompt/model.ts";
import { somePicture, writeTinyModel } from "../test/fixtures/xprompt/kit.ts";
import { bin } from "./command-line.ts";
import { benchmark, type CommonOptions, integer, type Report, setting } from "./options.ts";
import { round } from "./timing.ts";

interface WorkersOptions extends CommonOptions {
  readonly jobs: number;
  readonly workers: number;
  readonly every: number;
}

/** Seconds after which the jobs of a killed worker go to others. */
const LOCK = 2;
/** Jobs whose pictures are compared with those of the model in this process. */
const COMPARED = 25;
/** Milliseconds without a result, after which the jobs that are left count as lost. */
const STALL = 300_000;

export function workersBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("workers", "Jobs over workers that are killed: none lost, none doubled.", 1)
    .option("--jobs <n>", "generation jobs of a tiny model. Defaults to 1000", integer, 1000)
    .option("--workers <n>", "workers at a time. Defaults to 3", integer, 3)
    .option("--every <s>", "seconds between two kills. Defaults to 3", integer, 3)
    .action(async (options: WorkersOptions) => print(await measure(options), options));
}

async function measure(options: WorkersOptions): Promise<Report> {
  const resources = new Resources();
  try {
    return await killing(options, resources);
  } finally {
    await resources.release();
  }
}

async function killing(options: WorkersOptions, resources: Resources): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const tiny = join(folder, "tiny");
  await writeTinyModel(tiny);
  const url = await redisIn(folder, resources);
  const model = resources.own(await XPrompt.load(tiny, { threads: 1 }));
  const ended = await countEnds(`generate-${model.fingerprint}`, url, resources);

  const fleet = new Fleet([
    "worker",
    "--redis",
    url,
    "--model",
    tiny,
    "--threads",
    "1",
    "--lock",
    String(LOCK),
  ]);
  resources.defer(async () => fleet.killAll());
  for (let i = 0; i < options.workers; i++) fleet.start();

  const jobs = resources.own(await JobQueue.open({ url }));
  const far = remoteModel(model, (kind, data, given) => jobs.run(kind, model.fingerprint, data, given));
  const example = { input: somePicture("before"), output: somePicture("after") };
  const requests = Array.from({ length: options.jobs }, (_, seed) => ({
    ...{ examples: [example], input: somePicture(seed % 50), seed },
  }));
  const started = performance.now();
  let done = 0;
  // A job that is lost would be waited for without an end.
  const stalled = new AbortController();
  const stall = setTimeout(() => stalled.abort(new Error("no result for long")), STALL);
  const all = requests.map(async (request) => {
    const { images } = await far.generate({ ...request, signal: stalled.signal });
    stall.refresh();
    if (++done % 100 === 0) process.stderr.write(`${done} results, ${fleet.kills} kills\n`);
    return images[0];
  });
  const finished = new AbortController();
  const random = Random.of("workers", "kills");
  const killer = (async () => {
    while (!finished.signal.aborted) {
      await sleep(options.every * 1000, undefined, { signal: finished.signal }).catch(() => {});
      if (!finished.signal.aborted) fleet.replaceOne(random);
    }
  })();
  const ends = await Promise.allSettled(all);
  clearTimeout(stall);
  finished.abort();
  await killer;
  const results = ends.map((end) => (end.status === "fulfilled" ? end.value : undefined));
  const seconds = (performance.now() - started) / 1000;

  let different = 0;
  for (let i = 0; i < COMPARED; i++) {
    const index = Math.floor((i * options.jobs) / COMPARED);
    const found = results[index];
    const { images } = await model.generate(requests[index]!);
    if (!found || !Buffer.from(toBytes(images[0])).equals(toBytes(found))) different++;
  }
  const { completed, doubled, unfinished, failed, takenOver } = await ended();
  const result = {
    ...{ benchmark: "workers", jobs: options.jobs, workers: options.workers, kills: fleet.kills },
    takenOver,
    ...{ results: done, lost: options.jobs - completed, doubled, failed, unfinished },
    ...{ compared: COMPARED, different, seconds: round(seconds, 1) },
    ...setting(options),
  };
  return {
    result,
    rows: [
      [
        "jobs",
        "workers",
        "kill -9",
        "taken over",
        "results",
        "lost",
        "doubled",
        "pictures that differ",
        "seconds",
      ],
      [
        ...[options.jobs, options.workers, fleet.kills, takenOver, done, result.lost, doubled],
        ...[`${different} of ${COMPARED}`, result.seconds],
      ].map(String),
    ],
  };
}

/** Worker processes, one of which is killed now and then. */
class Fleet {
  kills = 0;
  private readonly running: ChildProcess[] = [];

  constructor(private readonly args: readonly string[]) {}

  start(): void {
    this.running.push(spawn(process.execPath, [bin, ...this.args], { stdio: "ignore" }));
  }

  replaceOne(random: Random): void {
    const [victim] = this.running.splice(random.integer(0, this.running.length - 1), 1);
    victim!.kill("SIGKILL");
    this.kills++;
    this.start();
  }

  killAll(): void {
    for (const each of this.running) each.kill("SIGKILL");
  }
}

/** A Redis with an append-only file. @returns its URL */
async function redisIn(folder: string, resources: Resources): Promise<string> {
  const socket = join(folder, "redis.sock");
  const args = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "", "--appendonly", "yes"];
  const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  resources.defer(async () => {
    const end = once(server, "exit");
    server.kill();
    await end;
  });
  await Promise.race([
    once(server, "error").then(([error]) => {
      throw new XPromptError(`starting redis-server: ${error.message} (apt-get install redis-server)`);
    }),
    (async () => {
      for await (const line of server.stdout) if (/ready to accept/i.test(String(line))) return;
    })(),
  ]);
  server.stdout.resume();
  return `unix://${socket}`;
}

/** Counts how often each job of a queue ends, as BullMQ tells it. */
async function countEnds(name: string, url: string, resources: Resources) {
  const connection = new Redis({ path: url.slice("unix://".length), maxRetriesPerRequest: null });
  resources.defer(async () => connection.disconnect());
  const queue = new Queue(name, { connection, prefix: "xprompt" });
  const events = new QueueEvents(name, { connection, prefix: "xprompt" });
  resources.defer(() => queue.close());
  resources.defer(() => events.close());
  const ends = new Map<string, number>();
  let taken = 0;
  events.on("stalled", () => taken++);
  events.on("completed", ({ jobId }) => ends.set(jobId, (ends.get(jobId) ?? 0) + 1));
  await events.waitUntilReady();
  return async () => {
    const {
      completed = 0,
      failed = 0,
      ...others
    } = await queue.getJobCounts(...(["completed", "failed", "active", "waiting", "prioritized"] as const));
    return {
      ...{ completed, failed, takenOver: taken },
      unfinished: Object.values(others).reduce((sum, each) => sum + each, 0),
      doubled: [...ends.values()].filter((count) => count > 1).length,
    };
  };
}
