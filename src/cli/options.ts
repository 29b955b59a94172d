/** @file Options that several commands share, and the reading of their values. */
import { access, constants, stat } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { type Device, devices } from "../runtime/session.ts";
import type { Example } from "../xprompt/model.ts";

/** Reads a number; whether it is in range is for whoever uses it to say. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError(`expected a number, got "${text}".`);
  return value;
}

export interface ModelOptions {
  readonly model: string;
  readonly device: Device;
  readonly threads?: number;
}

/** `--model`, `--device` and `--threads`. */
export function withModel(command: Command): Command {
  return command
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .addOption(
      new Option("--device <device>", "where to compute. Defaults to cpu").choices(devices).default("cpu"),
    )
    .option("--threads <n>", "threads on the CPU. Defaults to one for each core", number);
}

/** `--example <before> <after>`, as often as wanted. */
export function withExamples(command: Command): Command {
  return command.option(
    "--example <before after...>",
    "a before → after pair of pictures (PNG, JPEG, WebP); may be given several times",
  );
}

/** The pairs that `--example` collected. @throws UsageError for a picture without its partner */
export function examplesOf(paths: readonly string[] = [], instruction?: string): Example[] {
  if (paths.length % 2 !== 0)
    throw new UsageError(
      `--example: expected two pictures each time, before and after, got ${paths.length} in all`,
    );
  return Array.from({ length: paths.length / 2 }, (_, i) => ({
    input: paths[2 * i]!,
    output: paths[2 * i + 1]!,
    ...(instruction !== undefined && { instruction }),
  }));
}

/** Makes sure, before any long work, that a file can be written there. */
export async function checkOutput(path: string, extension: string): Promise<void> {
  if (extname(path).toLowerCase() !== extension)
    throw new UsageError(`--output: expected a name that ends in ${extension}, got ${path}`);
  const folder = dirname(resolve(path));
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error("it is not a folder");
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new XPromptError(
      `--output ${path}: expected a folder that can be written to: ${messageOf(error)} (make it first)`,
    );
  }
}
