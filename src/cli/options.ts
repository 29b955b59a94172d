/** @file Options that several commands share, and parsers of their values. */
import { access, constants, realpath, stat } from "node:fs/promises";
import { dirname, extname } from "node:path";
import { type Command, Option } from "commander";
import { z } from "zod";
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { resolveTarget } from "../runtime/files.ts";
import { type Device, devices } from "../runtime/session-options.ts";
import { threadCount } from "../runtime/threads.ts";
import { complaint } from "../schema-words.ts";
import { readText } from "../settings.ts";
import type { Example, LoadOptions } from "../xprompt/model.ts";

/**
 * A parser of the value of an option.
 * @throws UsageError naming the option, from the parser
 */
export function numberFor<T>(flag: string, schema: z.ZodType<T>): (text: string) => T {
  return (text) => {
    const reading = readText([schema], text);
    const parsed = schema.safeParse(reading?.value);
    if (reading && parsed.success) return parsed.data;
    throw new UsageError(`${flag}: ${complaint([schema], text, { ...reading, asText: true })}`);
  };
}

/** A parser of a whole number from `least` to `most`. */
export const wholeFor = (
  flag: string,
  least = 0,
  most = Number.MAX_SAFE_INTEGER,
): ((text: string) => number) => numberFor(flag, z.int().min(least).max(most));

/** Weights in the syntax of `--guidance`. */
export const guidanceText = (guidance: number | object): string =>
  typeof guidance === "number"
    ? String(guidance)
    : Object.entries(guidance)
        .map(([name, weight]) => `${name}=${weight}`)
        .join(",");

export interface ModelOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly device: Device;
  readonly threads?: number;
}

/** The options of loading a model. */
export const loadOptionsOf = ({ adapter, device, threads }: ModelOptions): LoadOptions => ({
  adapter,
  device,
  threads,
});

/** `--model`, `--adapter`, `--device` and `--threads`. */
export function withModel(command: Command): Command {
  return withDevice(
    command
      .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
      .option(
        "--adapter <dir>",
        "an adapter folder that was trained on this model, by xprompt train or PEFT",
      ),
  );
}

/** `--device` and `--threads`. */
export function withDevice(command: Command): Command {
  return command
    .addOption(
      new Option("--device <device>", "the device to compute on. Defaults to cpu")
        .choices(devices)
        .default("cpu"),
    )
    .option(
      "--threads <n>",
      "threads on the CPU. Defaults to one per physical core",
      numberFor("--threads", threadCount),
    );
}

/** The first of these options, by the names of their values, that is on the command line. */
export const givenOf = (command: Command, names: readonly string[]): Option | undefined =>
  command.options.find(
    (option) =>
      names.includes(option.attributeName()) &&
      command.getOptionValueSource(option.attributeName()) === "cli",
  );

/** `--example <before> <after>`, repeatable. */
export function withExamples(command: Command): Command {
  return command.option(
    "--example <before after...>",
    "a before → after pair of pictures (PNG, JPEG, WebP); repeatable",
  );
}

/** An example whose pictures are files. */
interface NamedExample extends Example {
  readonly input: string;
  readonly output: string;
}

/** The pairs of `--example`. @throws UsageError for a picture without its partner, or an option in place of a picture */
export function examplesOf(paths: readonly string[] = [], instruction?: string): NamedExample[] {
  const option = paths.find((path) => path.startsWith("--"));
  if (option !== undefined)
    throw new UsageError(
      `--example: expected two pictures each time, before and after, got ${option} (for a file of that name, ./${option})`,
    );
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

/**
 * @param flag the option of the path
 * @throws UsageError when an output path has none of the `extensions`
 */
export function checkExtension(path: string, extensions: readonly string[], flag = "--output"): void {
  if (!extensions.includes(extname(path).toLowerCase()))
    throw new UsageError(`${flag}: expected a name that ends in ${extensions.join(", ")}, got ${path}`);
}

/**
 * Checks before any long work that a file can be written.
 * @param inputs files that the command reads and must not replace
 * @param flag the option of the path
 */
export const checkOutput = (path: string, inputs: readonly string[], flag = "--output"): Promise<void> =>
  checkOutputs([path], inputs, flag);

/** The same for several files. */
export async function checkOutputs(
  paths: readonly string[],
  inputs: readonly string[],
  flag = "--output",
): Promise<void> {
  const places = new Set(await Promise.all(inputs.map((input) => realpath(input).catch(() => input))));
  for (const path of paths) await checkFile(path, places, flag);
}

/** @param inputs the real paths of files that must not be replaced */
async function checkFile(path: string, inputs: ReadonlySet<string>, flag: string): Promise<void> {
  const refuse = (expected: string, error: unknown): never => {
    throw new XPromptError(`${flag} ${path}: expected ${expected}: ${messageOf(error)}`);
  };
  const folder = dirname(await resolveTarget(path));
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error("it is not a folder");
    await access(folder, constants.W_OK);
  } catch (error) {
    refuse("a writable folder (create it first, or choose another)", error);
  }
  const former = await stat(path).catch((error: NodeJS.ErrnoException) =>
    error.code === "ENOENT" ? undefined : refuse("a file name that the disk accepts (choose another)", error),
  );
  if (!former) return;
  if (!former.isFile())
    throw new XPromptError(
      `${flag} ${path}: expected a file, got ${former.isDirectory() ? "a folder" : "a device or pipe"} (choose another path)`,
    );
  if (inputs.has(await realpath(path)))
    throw new UsageError(
      `${flag} ${path}: expected a file that is not an input, got one of the inputs (choose another path)`,
    );
}

/** The long names of a command's options: `--json`. */
export const flagsOf = ({ options }: Command): readonly string[] => options.flatMap(({ long }) => long ?? []);

/** @throws XPromptError when there is no such folder */
export async function requireFolder(path: string, flag: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory())
    throw new XPromptError(`${flag} ${path}: expected a folder, got ${found ? "a file" : "nothing there"}`);
}

/** @throws XPromptError when a library of the device is missing, because onnxruntime's own message is long */
export function checkDevice(device: Device): void {
  if (device !== "webgpu" || process.platform !== "linux") return;
  try {
    process.dlopen({ exports: {} }, "libvulkan.so.1");
  } catch (error) {
    // Loading a library that exists fails with another message, since it is no Node add-on.
    if (!/cannot open shared object file/.test(messageOf(error))) return;
    throw new XPromptError(
      "device webgpu: not available here: expected a Vulkan driver, found no libvulkan.so.1 (install one, or use --device cpu)",
    );
  }
}
