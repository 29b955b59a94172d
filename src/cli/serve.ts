/** @file `xprompt serve`: serves a model over HTTP. */
import { basename } from "node:path";
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import { ExampleLibrary } from "../retrieval/index.ts";
import { untilAborted } from "../runtime/abort.ts";
import { workWith } from "../runtime/resources.ts";
import { batchedEngine, queueEngine } from "../server/engine.ts";
import { isLoopback } from "../server/guard.ts";
import { addKey, Keys } from "../server/keys.ts";
import { jsonLog, type Level } from "../server/log.ts";
import { defaultLimits, type Limits } from "../server/make-services.ts";
import { serve } from "../server/serve.ts";
import { loadModel } from "./load.ts";
import { checkDevice, type ModelOptions, requireFolder, wholeFor, withModel } from "./options.ts";
import { print, say } from "./output.ts";
import { openQueue, type QueueOptions, withQueue } from "./queue-options.ts";

interface LimitOptions {
  readonly parallel: number;
  readonly queue: number;
  readonly perClient: number;
  /** In seconds, as `grace`. */
  readonly timeLimit: number;
  /** In MB. */
  readonly maxBody: number;
  /** In megapixels. */
  readonly maxPixels: number;
  readonly grace: number;
}

interface Options extends ModelOptions, QueueOptions, LimitOptions {
  readonly host: string;
  readonly port: number;
  readonly keys?: string;
  readonly newKey?: string;
  readonly library?: readonly string[];
  readonly xprompts?: string;
  readonly runs?: string;
  readonly origin?: readonly string[];
  readonly quiet?: true;
}

const MEGABYTE = 2 ** 20;
/** Before evaluations and the like. */
const SERVE_PRIORITY = 1;
/** Requests that run at once with --redis: workers batch them. */
const HANDED_OUT = 64;

export function serveCommand(signal: AbortSignal): Command {
  const command = new Command("serve").description(
    "Serve a model over HTTP: OpenAI's Images API with example pairs, visual prompts, jobs, and the tools of xprompt mcp.",
  );
  const number = (flag: string, text: string, [least, most]: readonly [number, number], value: number) =>
    command.option(`${flag} <n>`, `${text}. Defaults to ${value}`, wholeFor(flag, least, most), value);
  withQueue(withModel(command), SERVE_PRIORITY)
    .option(
      "--host <address>",
      "address to listen on. Defaults to 127.0.0.1, which only this machine reaches",
      "127.0.0.1",
    )
    .option(
      "--keys <file>",
      "file with names and hashes of API keys. Defaults to the key in XPROMPT_API_KEY, or to none",
    )
    .option("--new-key <name>", "create a key, add its hash to the file of --keys, print the key, and exit")
    .option("--library <place...>", "example libraries for requests, as PLACE or NAME=PLACE")
    .option("--xprompts <dir>", "folder that stores visual prompts. Defaults to memory")
    .option("--runs <dir>", "folder of training runs to show")
    .option(
      "--origin <url...>",
      "origins of web pages that may send requests, such as https://example.org. Defaults to the server's own",
    )
    .option("--quiet", "log only warnings and errors");
  number("--port", "port to listen on; 0 for any free port", [0, 65535], 8000);
  number(
    "--parallel",
    "requests that run at once: in one batch, or with --redis on all workers. With --redis the default is 64, otherwise as follows",
    [1, 1024],
    defaultLimits.width,
  );
  number("--queue", "requests that may wait", [0, 10_000], defaultLimits.depth);
  number("--per-client", "running and waiting requests per client", [1, 10_000], defaultLimits.perClient);
  number("--time-limit", "seconds that a request may run", [1, 86_400], defaultLimits.timeLimit);
  number(
    "--max-body",
    "maximum size of a request body in megabytes",
    [1, 1024],
    defaultLimits.body / MEGABYTE,
  );
  number(
    "--max-pixels",
    "maximum size of an input picture in megapixels",
    [1, 64],
    defaultLimits.pixels / 1e6,
  );
  number("--grace", "seconds that running requests may take after SIGTERM", [0, 3600], defaultLimits.grace);
  return command.action((options: Options) => {
    const isDefault = command.getOptionValueSource("parallel") === "default";
    const parallel = options.redis !== undefined && isDefault ? HANDED_OUT : options.parallel;
    return run({ ...options, parallel }, signal);
  });
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { keys: file, newKey } = options;
  if (newKey !== undefined) {
    if (file === undefined) throw new UsageError("--new-key: expected --keys with it, got it alone");
    return print(await addKey(file, newKey));
  }
  checkDevice(options.device);
  for (const origin of options.origin ?? []) checkOrigin(origin);
  if (options.runs !== undefined) await requireFolder(options.runs, "--runs");
  const keys = await keysOf(options);
  if (!isLoopback(options.host) && !keys)
    say(`warning: ${options.host} without API keys: everyone who reaches the port can generate (see --keys)`);
  await workWith(async (resources) => {
    const libraries = new Map<string, ExampleLibrary>();
    for (const [name, place] of placesOf(options.library))
      libraries.set(name, resources.own(await ExampleLibrary.open(place)));
    const write = jsonLog((line) => process.stderr.write(line));
    const log = (level: Level, ...rest: [string, Record<string, unknown>?]) => {
      if (!options.quiet || level !== "info") write(level, ...rest);
    };
    const warn = (line: string) => log("warn", line);
    const jobs =
      options.redis === undefined
        ? undefined
        : resources.own(await openQueue(options, { waits: false, log: warn }));
    const model = resources.own(await loadModel(options));
    const engine = jobs ? queueEngine(model, jobs) : resources.own(batchedEngine(model));
    const running = await serve({
      ...{
        engine,
        model: basename(options.model),
        host: options.host,
        port: options.port,
        keys,
        libraries,
        log,
      },
      ...{
        origins: options.origin ?? [],
        prompts: options.xprompts,
        runs: options.runs,
        limits: limitsOf(options),
      },
    });
    say(`serving ${basename(options.model)} at ${running.url} (Ctrl-C to stop)`);
    await untilAborted(signal);
    log("info", "shutting down", { ...running.services.queue.sizes });
    await running.close();
  });
}

/** @throws UsageError for a text that is no origin as browsers send it */
function checkOrigin(origin: string): void {
  if (URL.canParse(origin) && new URL(origin).origin === origin) return;
  throw new UsageError(`--origin: expected an origin such as https://example.org, got ${origin}`);
}

export const limitsOf = (options: LimitOptions): Partial<Limits> => ({
  ...{
    width: options.parallel,
    depth: options.queue,
    perClient: options.perClient,
    timeLimit: options.timeLimit,
    grace: options.grace,
  },
  ...{
    body: options.maxBody * MEGABYTE,
    bodies: Math.max(8 * options.maxBody * MEGABYTE, defaultLimits.bodies),
  },
  pixels: options.maxPixels * 1e6,
});

async function keysOf({ keys }: Options): Promise<Keys | undefined> {
  if (keys !== undefined) return Keys.load(keys);
  const key = process.env.XPROMPT_API_KEY;
  return key === undefined || key === "" ? undefined : Keys.of(key);
}

/** The places of libraries by name. The name defaults to the last part of the place. */
function placesOf(given: readonly string[] = []): Map<string, string> {
  const places = new Map<string, string>();
  for (const each of given) {
    const [, name, place] = /^([\w-]+)=(.+)$/s.exec(each) ?? [undefined, basename(each), each];
    if (places.has(name!))
      throw new UsageError(`--library: expected different names, got ${name} twice (use NAME=PLACE)`);
    places.set(name!, place!);
  }
  return places;
}
