/** @file Putting together what the handlers share. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { BodyBudget } from "./body.ts";
import { now } from "./clock.ts";
import { Jobs } from "./jobs.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { PromptStore } from "./prompt-store.ts";
import { Queue, type QueueOptions } from "./queue.ts";
import type { Engine, Libraries, Services } from "./services.ts";

export interface Limits extends QueueOptions {
  /** Bytes of the body of one request, and of all together. */
  readonly body: number;
  readonly bodies: number;
  /** Most pixels of a picture that comes in. */
  readonly pixels: number;
  readonly connections: number;
  /** Seconds that requests may go on once the server shuts down. */
  readonly grace: number;
}

const MEGABYTE = 2 ** 20;

export const defaultLimits: Limits = {
  ...{ width: 4, depth: 32, perClient: 16, timeLimit: 300 },
  ...{ body: 32 * MEGABYTE, bodies: 256 * MEGABYTE, pixels: 16_000_000, connections: 512, grace: 30 },
};

export interface ServicesOptions {
  readonly engine: Engine;
  /** What clients call the model. */
  readonly model: string;
  readonly log: Log;
  readonly libraries?: Libraries;
  /** Folder in which visual prompts are kept. */
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
  const jobs = new Jobs();
  const store = await PromptStore.open(prompts);
  metrics.gauge("xprompt_queue_waiting", "Requests that wait.", () => queue.sizes.waiting);
  metrics.gauge("xprompt_queue_running", "Requests that run.", () => queue.sizes.running);
  metrics.gauge("xprompt_body_bytes", "Bytes of bodies in memory.", () => bodies.bytes);
  metrics.gauge("xprompt_jobs", "Jobs that are remembered.", () => jobs.size);
  metrics.gauge("xprompt_prompts", "Visual prompts that are kept.", () => store.size);
  const delay = monitorEventLoopDelay();
  delay.enable();
  const late = "By how much 99% of the turns of the event loop were late at most.";
  metrics.gauge("xprompt_event_loop_delay_seconds", late, () => delay.percentile(99) / 1e9);
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  return {
    ...{ model, engine, libraries, queue, bodies, metrics, jobs, prompts: store, log },
    ...{ maxPixels: limits.pixels, runs, started: now() },
  };
}
