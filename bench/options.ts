/** @file Common options and the result type of the benchmarks. */
import { cpus } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { env } from "onnxruntime-node";

export interface CommonOptions {
  readonly threads: number;
  readonly repeats: number;
  readonly json: boolean;
}

export interface PeerOptions {
  readonly python?: string;
  readonly peer: boolean;
}

/** The result of a benchmark: all figures, and a short table. */
export interface Report {
  readonly result: Readonly<Record<string, unknown>>;
  readonly rows: readonly (readonly string[])[];
}

/** A benchmark's command with `--threads`, `--repeats` and `--json`. */
export const benchmark = (name: string, description: string, repeats: number): Command =>
  new Command(name)
    .description(description)
    .option("--threads <n>", "CPU threads per side. Defaults to 2", integer, 2)
    .option("--repeats <n>", `measured runs per program. Defaults to ${repeats}`, integer, repeats)
    .option("--json", "print one JSON object on standard output", false);

/** `--python` and `--no-peer`. */
export const withPeer = (command: Command): Command =>
  command
    .option(
      "--python <path>",
      "interpreter with bench/peers/requirements.txt. Defaults to .venv/bin/python, then python3",
    )
    .option("--no-peer", "measure only our side");

export function integer(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text.trim()) || value < 1)
    throw new InvalidArgumentError(`expected an integer ≥ 1, got "${text}".`);
  return value;
}

/** Parses a list such as `100,300,500`. */
export const integers = (text: string): number[] => text.split(",").map(integer);

/** Samples one code after another with guidance, also with a model that recommends one pass. */
export const codeByCode = {
  onePass: false,
  expected: false,
  guidance: 2,
  temperature: 0.5,
  topP: 0.9,
} as const;

/** The machine and the versions. */
export const setting = ({ threads }: CommonOptions): object => ({
  machine: { cpu: `${cpus()[0]?.model ?? "unknown"} × ${cpus().length}`, threads },
  versions: { node: process.versions.node, onnxruntime: env.versions.node ?? env.versions.common },
});

/** `--no-compile`. */
export const withCompile = (command: Command): Command =>
  command.option("--no-compile", "PyTorch without torch.compile, which needs a C++ compiler");
