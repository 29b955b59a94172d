/**
 * @file `bench startup`: `xprompt generate` with a compiled prompt as a process of its own, compared with an empty Node
 * program and with a Python program that only imports PyTorch and transformers.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Command } from "commander";
import { XPrompt } from "../src/xprompt/model.ts";
import { bin, picturePath } from "./command-line.ts";
import {
  benchmark,
  type CommonOptions,
  type PeerOptions,
  type Report,
  setting,
  withPeer,
} from "./options.ts";
import { interpreterWith } from "./peers.ts";
import { alternate, median, milliseconds, type Run, ratio, timed } from "./timing.ts";

interface StartupOptions extends CommonOptions, PeerOptions {
  readonly model: string;
}

/** The milliseconds that `--json` reports. */
interface Timings {
  readonly draw: number;
  readonly decode: number;
}

const run = promisify(execFile);

export function startupBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return withPeer(benchmark("startup", "The command line with a compiled prompt, from start to end.", 10))
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .action(async (options: StartupOptions) => print(await measure(options), options));
}

async function measure(options: StartupOptions): Promise<Report> {
  const work = await mkdtemp(join(tmpdir(), "xprompt-bench-"));
  try {
    const prompt = join(work, "change.xprompt");
    const model = await XPrompt.load(options.model, { threads: options.threads });
    const example = { input: picturePath("before"), output: picturePath("after") };
    await (await model.compress([example])).save(prompt);
    await model.release();
    return await compare(options, ["--prompt", prompt, "--output", join(work, "out.png")]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function compare(options: StartupOptions, request: readonly string[]): Promise<Report> {
  const { model, threads, peer, repeats } = options;
  const args = ["generate", ...request, "--input", picturePath("query-1"), "--model", model];
  const firstStep: number[] = [];
  const generate = async () => {
    const started = performance.now();
    const last = ["--threads", String(threads), "--seed", "1", "--json"];
    const { stdout } = await run(process.execPath, [bin, ...args, ...last]);
    const ms = performance.now() - started;
    const { timings } = JSON.parse(stdout) as { readonly timings: Timings };
    firstStep.push(ms - timings.draw - timings.decode);
    return ms;
  };
  const python = peer ? await interpreterWith(["torch", "transformers"], options.python) : undefined;
  const programs: Record<string, Run> = {
    "xprompt generate": generate,
    "empty Node program": timed(() => run(process.execPath, ["-e", "0"])),
    ...(python !== undefined && {
      "Python's imports of PyTorch and transformers": timed(() =>
        run(python, ["-c", "import torch; from transformers import ChameleonForConditionalGeneration"]),
      ),
    }),
  };
  process.stderr.write("measuring ");
  const times = await alternate(programs, { repeats, warmUp: 1 });
  const ours = times["xprompt generate"]!;
  return {
    result: {
      benchmark: "startup",
      model,
      programs: Object.fromEntries(Object.entries(times).map(([name, each]) => [name, milliseconds(each)])),
      /** Without drawing and decoding; with writing the picture and the end of the process. */
      beforeDrawingMs: milliseconds(firstStep.slice(-repeats)),
      ratios: Object.fromEntries(Object.entries(times).map(([name, each]) => [name, ratio(each, ours)])),
      ...setting(options),
    },
    rows: [
      ["program", "ms", "÷ xprompt generate"],
      ["xprompt generate, before it draws", median(firstStep.slice(-repeats)).toFixed(0), ""],
      ...Object.entries(times).map(([name, each]) => [
        ...[name, median(each).toFixed(0), ratio(each, ours).median.toFixed(2)],
      ]),
    ],
  };
}
