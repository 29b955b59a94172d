/**
 * @file `bench scale`: training in two processes of one thread each, beside one process of two threads; what they
 * exchange, counted and computed; the same between two network namespaces, which stand for two hosts.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { z } from "zod";
import { firstLineOf } from "../src/errors.ts";
import { Hosts } from "./hosts.ts";
import { benchmark, type CommonOptions, integer, type Report, setting } from "./options.ts";
import type { WorkerSettings } from "./scale-worker.ts";
import { alternate, median, milliseconds, ratio, round } from "./timing.ts";
import { startNode, Worker } from "./worker.ts";

interface ScaleOptions extends CommonOptions {
  readonly contexts: number;
}

const PROCESSES = 2;
const script = new URL("./scale-worker.ts", import.meta.url);
const factsSchema = z.strictObject({ parameters: z.int(), tokens: z.int(), bytes: z.int() });
type Facts = z.output<typeof factsSchema>;

export function scaleBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("scale", "Training in two processes, beside two threads of one. Needs Open MPI.", 10)
    .option("--contexts <n>", "contexts of a batch, an even number. Defaults to 4", integer, 4)
    .action(async (options: ScaleOptions) => print(await measure(options), options));
}

async function measure(options: ScaleOptions): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-scale-"));
  try {
    const side = await sideBySide(options, folder);
    const hosts = await betweenHosts(options, folder).catch((error: unknown) => firstLineOf(error));
    return {
      result: { benchmark: "scale", ...side, hosts, ...setting(options) },
      rows: [
        [`${side.parameters} parameters, ${side.tokens} tokens`, "ms/step", "tokens/s"],
        ["1 process, 2 threads", String(side.threads.ms.median), String(side.threads.tokensPerSecond)],
        ["2 processes, 1 thread", String(side.processes.ms.median), String(side.processes.tokensPerSecond)],
        ["processes ÷ threads, tokens/s", String(side.ratio.median), `${side.ratio.min} … ${side.ratio.max}`],
        ["bytes exchanged per step", String(side.bytes.counted), `computed ${side.bytes.computed}`],
        [
          "all-reduce of the gradients",
          String(side.exchange.ms.median),
          `${side.exchange.gigabytesPerSecond} GB/s`,
        ],
        typeof hosts === "string"
          ? ["between two hosts", "-", hosts]
          : [
              "between two hosts, per step",
              String(hosts.ms.median),
              `${hosts.sent} bytes sent, computed ${hosts.computed} (${hosts.ratio})`,
            ],
      ],
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What a process is started with, and the file of its commands. */
async function settingsOf(folder: string, name: string, { contexts }: ScaleOptions): Promise<WorkerSettings> {
  const commands = join(folder, name);
  await writeFile(commands, "");
  return { mpi: true, threads: 1, contexts, commands };
}

/** Arguments of mpirun for two processes, each on whatever core is free. */
const job = (settings: WorkerSettings, more: readonly string[] = []): string[] => [
  ...(process.getuid?.() === 0 ? ["--allow-run-as-root"] : []),
  ...["-np", String(PROCESSES), "--oversubscribe", "--bind-to", "none", ...more],
  ...[process.execPath, "--import", "tsx", fileURLToPath(script), JSON.stringify(settings)],
];

/** Gradients, weighted loss and weight; and the figure that is reported beside them with its weight. */
const bytesPerStep = ({ parameters }: Facts): number => 4 * (parameters + 2) + 4 * 2;

/** Of gradients that are summed, GB/s. */
const rateOf = ({ parameters }: Facts, exchange: readonly number[]): number =>
  round((4 * parameters) / median(exchange) / 1e6, 2);

async function sideBySide(options: ScaleOptions, folder: string) {
  const settings = await settingsOf(folder, "side", options);
  const shared = await Worker.start("mpirun", job(settings), factsSchema);
  const single = await startNode(script, { ...settings, mpi: false, threads: PROCESSES }, factsSchema);
  const { parameters, tokens } = shared.facts;
  process.stderr.write("measuring two processes beside two threads ");
  const times = await alternate({ threads: single.run("step"), processes: shared.run("step") }, options);
  const exchange = (await alternate({ exchange: shared.run("exchange") }, options)).exchange;
  const peaks = { threads: await single.end(), processes: await shared.end() };
  const rates = (all: readonly number[]) => ({
    ms: milliseconds(all),
    tokensPerSecond: Math.round((1000 * tokens) / median(all)),
  });
  return {
    ...{ parameters, tokens },
    threads: { ...rates(times.threads), peakBytes: peaks.threads },
    processes: { ...rates(times.processes), peakBytesOfEach: peaks.processes },
    /** Tokens per second of two processes ÷ of two threads. */
    ratio: ratio(times.threads, times.processes),
    bytes: { counted: shared.facts.bytes, computed: bytesPerStep(shared.facts) },
    exchange: { ms: milliseconds(exchange), gigabytesPerSecond: rateOf(shared.facts, exchange) },
  };
}

/** The steps of the same job between two namespaces, and what the interface says it has sent. */
async function betweenHosts(options: ScaleOptions, folder: string) {
  const settings = await settingsOf(folder, "hosts", options);
  await using hosts = await Hosts.open(folder);
  const [command, ...args] = hosts.mpirun(job(settings, hosts.options));
  const shared = await Worker.start(command!, args, factsSchema);
  process.stderr.write("measuring two hosts ");
  await alternate({ step: shared.run("step") }, { repeats: 1 });
  const before = await hosts.sent();
  const { step } = await alternate({ step: shared.run("step") }, { ...options, warmUp: 0 });
  const sent = Math.round(((await hosts.sent()) - before) / options.repeats);
  const { exchange } = await alternate({ exchange: shared.run("exchange") }, options);
  await shared.end();
  // In a ring, each process sends 2 (n − 1) / n of what is summed.
  const computed = (bytesPerStep(shared.facts) * 2 * (PROCESSES - 1)) / PROCESSES;
  return {
    ms: milliseconds(step),
    ...{ sent, computed, ratio: round(sent / computed, 3) },
    exchange: { ms: milliseconds(exchange), gigabytesPerSecond: rateOf(shared.facts, exchange) },
  };
}
