/** @file Runs the server on a port: start and shutdown. */
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import { messageOf, XPromptError } from "../errors.ts";
import { buildWith } from "../runtime/resources.ts";
import { createApp } from "./app.ts";
import { filesBelow, packageFolder, packageVersion } from "./files.ts";
import { type GuardOptions, isLoopback, loopbackHosts } from "./guard.ts";
import { defaultLimits, makeServices, type ServicesOptions } from "./make-services.ts";
import { mcpHandler } from "./mcp/http.ts";
import type { Queue, QueueOptions } from "./queue.ts";
import type { Services } from "./services.ts";

/** Time limits in milliseconds for a request's head and for a whole request. */
const [HEAD_TIME, REQUEST_TIME] = [15_000, 120_000];
/** Milliseconds of silence on a connection, besides the longest wait. Streams write more often. */
const SILENCE = 120_000;
/** The longest time of Node's timers, in milliseconds. */
const MAX_TIMER = 2 ** 31 - 1;

export interface ServeOptions extends Omit<GuardOptions, "hosts">, ServicesOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

export interface Running {
  readonly url: string;
  readonly services: Services;
  /** Accepts no more requests, lets running ones end within the time limit, and closes the port. */
  close(): Promise<void>;
}

/** Starts the server. @throws XPromptError when the port is not available */
export async function serve(options: ServeOptions): Promise<Running> {
  const limits = { ...defaultLimits, ...options.limits };
  return buildWith(async (resources) => {
    const services = await makeServices(options);
    resources.defer(async () => services.close());
    const silence = { waiting: longestSilence(limits), answering: SILENCE };
    const app = createApp({
      ...{ services, keys: options.keys, origins: options.origins, version: packageVersion() },
      hosts: isLoopback(options.host) ? loopbackHosts : options.keys ? undefined : "private",
      studio: await filesBelow(join(packageFolder, "dist", "studio")),
      silence,
      mcp: await mcpHandler(services),
    });
    const server = createAdaptorServer({
      fetch: app.fetch,
      serverOptions: { headersTimeout: HEAD_TIME, requestTimeout: REQUEST_TIME, keepAliveTimeout: 5000 },
    });
    server.maxConnections = limits.connections;
    server.setTimeout(silence.waiting);
    const address = await listen(server, options);
    const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return {
      url: `http://${shown}:${address.port}`,
      services,
      close: () => drain(server, services.queue, limits.grace).finally(services.close),
    };
  });
}

/** Milliseconds that a connection may be silent while its request waits and runs: the last one of a full queue. */
export function longestSilence({ depth, width, timeLimit }: QueueOptions): number {
  const turns = Math.ceil(depth / width) + 1;
  return Math.min(turns * timeLimit * 1000 + SILENCE, MAX_TIMER);
}

function listen(server: ServerType, { host, port }: ServeOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new XPromptError(
          `serving on ${host}:${port}: expected an address of this machine and a free port, got: ${messageOf(error)} (choose others with --host and --port)`,
        ),
      ),
    );
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

/** Node ends idle connections when a server closes. Connections that never finish are closed after the grace period. */
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
