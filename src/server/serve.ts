/** @file The server on a port: what it is made of, how it begins and how it ends. */
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import { messageOf, XPromptError } from "../errors.ts";
import { createApp } from "./app.ts";
import { BodyBudget } from "./body.ts";
import { filesBelow, packageFolder } from "./files.ts";
import { type GuardOptions, loopbackHosts } from "./guard.ts";
import { Jobs } from "./jobs.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { PromptStore } from "./prompt-store.ts";
import { Queue, type QueueOptions } from "./queue.ts";
import { type Engine, type Libraries, now, type Services } from "./services.ts";

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
  ...{ width: 1, depth: 32, perClient: 16, timeLimit: 300 },
  ...{ body: 32 * MEGABYTE, bodies: 256 * MEGABYTE, pixels: 16_000_000, connections: 512, grace: 30 },
};

/** Milliseconds that the head and the whole of a request may take to come in, and a connection may be silent. */
const [HEAD_TIME, REQUEST_TIME, SILENCE] = [15_000, 120_000, 120_000];

export interface ServeOptions extends Omit<GuardOptions, "hosts"> {
  readonly engine: Engine;
  /** What clients call the model. */
  readonly model: string;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly log: Log;
  readonly libraries?: Libraries;
  /** Folder in which visual prompts are kept. */
  readonly prompts?: string;
  /** Folder of training runs. */
  readonly runs?: string;
  readonly limits?: Partial<Limits>;
}

export interface Running {
  readonly url: string;
  readonly services: Services;
  /** Takes no more requests, lets those that are in end, for as long as the limit says, and closes the port. */
  close(): Promise<void>;
}

/** Begins to serve. @throws XPromptError when the port cannot be had */
export async function serve(options: ServeOptions): Promise<Running> {
  const limits = { ...defaultLimits, ...options.limits };
  const services = await servicesOf(options, limits);
  const isLoopback = ["localhost", "127.0.0.1", "::1"].includes(options.host);
  const app = createApp({
    ...{ services, keys: options.keys, origins: options.origins, version: packageVersion() },
    hosts: isLoopback ? loopbackHosts : undefined,
    studio: await filesBelow(join(packageFolder, "dist", "studio")),
    mcp: await mcpOver(services),
  });
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { headersTimeout: HEAD_TIME, requestTimeout: REQUEST_TIME, keepAliveTimeout: 5000 },
  });
  server.maxConnections = limits.connections;
  server.setTimeout(Math.max(SILENCE, limits.timeLimit * 1000 + SILENCE));
  const address = await listen(server, options);
  const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `http://${shown}:${address.port}`,
    services,
    close: () => drain(server, services.queue, limits.grace),
  };
}

async function servicesOf(
  { engine, model, libraries = new Map(), prompts, runs, log }: ServeOptions,
  limits: Limits,
): Promise<Services> {
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
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  return {
    ...{ model, engine, libraries, queue, bodies, metrics, jobs, prompts: store, log },
    ...{ maxPixels: limits.pixels, runs, started: now() },
  };
}

function listen(server: ServerType, { host, port }: ServeOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new XPromptError(
          `serving on ${host}:${port}: expected a free port of this machine, got: ${messageOf(error)} (choose another with --port or --host)`,
        ),
      ),
    );
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

/** Node ends idle connections when a server closes; those of clients that never finish are cut after the grace. */
async function drain(server: ServerType, queue: Queue, grace: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => {
    queue.abort();
    if ("closeAllConnections" in server) server.closeAllConnections();
  }, grace * 1000);
  await queue.close();
  await closed;
  clearTimeout(timer);
}

const packageVersion = (): string =>
  (createRequire(import.meta.url)("../../package.json") as { version: string }).version;

async function mcpOver(_services: Services): Promise<undefined> {
  return undefined;
}
