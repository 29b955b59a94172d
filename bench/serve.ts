/**
 * @file `bench serve`: edits sent to `xprompt serve`, one at a time and several at once: pictures per second, latency, and
 * the server's memory after every tenth of the requests.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { XPromptError } from "../src/errors.ts";
import { bin, picturePath } from "./command-line.ts";
import { benchmark, type CommonOptions, integer, integers, type Report, setting } from "./options.ts";
import { quantile, round } from "./timing.ts";

interface ServeOptions extends CommonOptions {
  readonly model: string;
  readonly requests: number;
  readonly atOnce: readonly number[];
}

/** Parts of a run of which the memory is reported. */
const PARTS = 10;
/** The first requests allocate memory and are not counted. */
const WARM_UP = 16;

export function serveBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("serve", "Edits sent to xprompt serve, one at a time and several at once.", 1)
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .option("--requests <n>", "edits of each kind. Defaults to 200", integer, 200)
    .option(
      "--at-once <numbers>",
      "how many clients send edits, each one after another. Defaults to 1,8",
      integers,
      [1, 8],
    )
    .action(async (options: ServeOptions) => print(await measure(options), options));
}

async function measure(options: ServeOptions): Promise<Report> {
  const server = await Server.start(options);
  try {
    await server.send(WARM_UP, Math.max(...options.atOnce));
    const measured: Measured[] = [];
    for (let i = 0; i < options.repeats; i++)
      for (const atOnce of options.atOnce) measured.push(await server.send(options.requests, atOnce));
    return report(options, measured);
  } finally {
    await server.stop();
  }
}

interface Measured {
  readonly atOnce: number;
  readonly picturesPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly cpuMsPerPicture: number;
  /** Resident memory of the server after each part of the requests, in MiB. */
  readonly memory: readonly number[];
}

function report(options: ServeOptions, measured: readonly Measured[]): Report {
  const { model, requests } = options;
  return {
    result: { benchmark: "serve", model, requests, measured, ...setting(options) },
    rows: [
      ["requests at once", "pictures/s", "p50", "p95", "CPU time per picture", "memory, MiB"],
      ...measured.map((each) => [
        ...[String(each.atOnce), String(each.picturesPerSecond), `${each.p50} ms`, `${each.p95} ms`],
        ...[`${each.cpuMsPerPicture} ms`, each.memory.join(" ")],
      ]),
    ],
  };
}

/** A server of its own, on a free port. */
class Server {
  private sent = 0;

  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
    private readonly pictures: readonly Blob[],
  ) {}

  static async start({ model, threads, atOnce }: ServeOptions): Promise<Server> {
    const pictures = await Promise.all(
      ["before", "after", "query-1"].map(
        async (name) => new Blob([new Uint8Array(await readFile(picturePath(name)))]),
      ),
    );
    const most = String(Math.max(...atOnce));
    const limits = ["--parallel", most, "--per-client", most];
    const args = [
      "serve",
      "--port",
      "0",
      "--model",
      model,
      "--threads",
      String(threads),
      "--quiet",
      ...limits,
    ];
    const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stderr! })) {
      seen.push(line);
      const url = /http:\/\/[0-9.:]+/.exec(line)?.[0];
      if (url === undefined) continue;
      child.stderr!.resume();
      return new Server(child, url, pictures);
    }
    throw new XPromptError(`starting a server: expected its address, got: ${seen.join(" ")}`);
  }

  /** Sends edits, each with its own seed. @throws XPromptError for an answer other than 200 */
  async send(count: number, atOnce: number): Promise<Measured> {
    const latencies: number[] = [];
    const memory: number[] = [];
    let begun = 0;
    const [start, before] = [performance.now(), await this.usage()];
    const client = async () => {
      while (begun++ < count) {
        const sent = performance.now();
        await this.edit();
        latencies.push(performance.now() - sent);
        if (latencies.length % Math.ceil(count / PARTS) !== 0) continue;
        memory.push((await this.usage()).mebibytes);
        process.stderr.write(`${latencies.length} of ${count}, ${memory.at(-1)} MiB\n`);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, client));
    const seconds = (performance.now() - start) / 1000;
    const cpuSeconds = (await this.usage()).cpuSeconds - before.cpuSeconds;
    return {
      atOnce,
      picturesPerSecond: round(count / seconds, 2),
      p50: round(quantile(latencies, 0.5), 0),
      p95: round(quantile(latencies, 0.95), 0),
      cpuMsPerPicture: round((1000 * cpuSeconds) / count, 1),
      memory,
    };
  }

  private async edit(): Promise<void> {
    const form = new FormData();
    for (const [i, picture] of this.pictures.entries()) form.append("image[]", picture, `${i}.png`);
    form.append("seed", String(this.sent++));
    const response = await fetch(`${this.url}/v1/images/edits`, { method: "POST", body: form });
    const body = await response.text();
    if (response.status !== 200)
      throw new XPromptError(`sending an edit: expected 200, got ${response.status}: ${body.slice(0, 200)}`);
  }

  private async usage(): Promise<{ mebibytes: number; cpuSeconds: number }> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const value = (name: string) => {
      const found = new RegExp(`^${name} ([\\d.e+-]+)$`, "m").exec(text)?.[1];
      if (found === undefined) throw new XPromptError(`reading /metrics: expected ${name}, got none`);
      return Number(found);
    };
    return {
      mebibytes: Math.round(value("process_resident_memory_bytes") / 2 ** 20),
      cpuSeconds: value("process_cpu_seconds_total"),
    };
  }

  async stop(): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.kill();
    await exit;
  }
}
