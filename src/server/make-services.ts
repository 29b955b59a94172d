/** @file Builds the services that handlers share. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { BodyBudget } from "./body.ts";
import { now } from "./clock.ts";
import { exampleSourceOf } from "./example-source.ts";
import { Jobs } from "./jobs.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { PromptStore } from "./prompt-store.ts";
import { Queue, type QueueOptions } from "./queue.ts";
import type { Engine, Libraries, Services } from "./services.ts";

export interface Limits extends QueueOptions {
  /** Bytes of one request's body, and of all bodies together. */
  readonly body: number;
  readonly bodies: number;
  /** The most pixels of an input picture. */
  readonly pixels: number;
  readonly connections: number;
  /** Seconds for which requests may continue after the start of a shutdown. */
  readonly grace: number;
}

const MEGABYTE = 2 ** 20;

export const defaultLimits: Limits = {
  ...{ width: 4, depth: 32, perClient: 16, timeLimit: 300 },
  ...{ body: 32 * MEGABYTE, bodies: 256 * MEGABYTE, pixels: 16_000_000, connections: 512, grace: 30 },
};

export interface ServicesOptions {
  readonly engine: Engine;
  /** The model's name for clients. */
  readonly model: string;
  readonly log: Log;
  readonly libraries?: Libraries;
  /** Folder of stored visual prompts. */
  readonly prompts?: string;
  /** Folder of training runs. */
  readonly runs?: string;
  readonly limits?: Partial<Limits>;
}

export async function makeServices(options: ServicesOptions): Promise<Services> {
  const { engine, model, libraries = new Map(), prompts, runs, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const queue = new Queue(limits);
  const bodies = new BodyBudget(limits.body, limits.bodies);
  const metrics = new Metrics();
  const jobs = new Jobs(log);
  const sources = new Map([...libraries].map(([name, library]) => [name, exampleSourceOf(library)]));
  const store = await PromptStore.open(prompts);
  metrics.gauge("xprompt_queue_waiting", "Waiting requests.", () => queue.sizes.waiting);
  metrics.gauge("xprompt_queue_running", "Running requests.", () => queue.sizes.running);
  metrics.gauge("xprompt_body_bytes", "Bytes of request bodies in memory.", () => bodies.bytes);
  metrics.gauge("xprompt_jobs", "Stored jobs.", () => jobs.size);
  metrics.gauge("xprompt_prompts", "Stored visual prompts.", () => store.size);
  const delay = monitorEventLoopDelay();
  delay.enable();
  const late = "99th percentile of the event loop delay since the last reading.";
  metrics.gauge("xprompt_event_loop_delay_seconds", late, () => {
    const seconds = delay.percentile(99) / 1e9;
    delay.reset();
    return seconds;
  });
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  metrics.counter("process_cpu_seconds_total", "User and system processor time.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  return {
    ...{ model, engine, libraries, sources, queue, bodies, metrics, jobs, prompts: store, log },
    ...{ maxPixels: limits.pixels, runs, started: now() },
    close: () => delay.disable(),
  };
}
