/** @file The pictures that `generate` changes, from files, folders and standard input, and where their results go. */
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { addAbortSignal } from "node:stream";
import { UsageError, XPromptError } from "../errors.ts";
import { imageExtensions } from "../image/index.ts";
import { maxBytes } from "../image/load.ts";
import { attempt } from "../runtime/files.ts";
import { numberedPaths } from "./numbered-paths.ts";
import { checkExtension, checkOutputs } from "./options.ts";

/** Stands for standard input or output. */
export const STANDARD = "-";

/** A picture to change. */
export interface Input {
  /** Its path; "stdin" for standard input. */
  readonly path: string;
  /** Bytes of standard input, or the path. */
  readonly picture: string | Uint8Array;
}

/** One call of the model. */
export interface Job {
  readonly input?: Input;
  /** A path per sample, or `STANDARD`. */
  readonly outputs: readonly string[];
}

/**
 * The pictures that the values of `--input` name.
 * @throws XPromptError for a folder without pictures, or a path that does not exist
 */
async function inputsOf(values: readonly string[], signal: AbortSignal): Promise<Input[]> {
  if (values.filter((value) => value === STANDARD).length > 1)
    throw new UsageError("--input: expected - for standard input once, got it twice");
  const inputs: Input[] = [];
  for (const value of values) {
    if (value === STANDARD) inputs.push({ path: "stdin", picture: await standardInput(signal) });
    else for (const path of await picturesAt(value)) inputs.push({ path, picture: path });
  }
  return inputs;
}

/** The pictures of a folder, in the order of their names; or the path of a file itself. */
async function picturesAt(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined); // Reading it tells what is wrong.
  if (!found?.isDirectory()) return [path];
  const entries = await attempt(`--input ${path}`, path, () => readdir(path, { withFileTypes: true }));
  const isShown = (name: string) =>
    !name.startsWith(".") && imageExtensions.includes(extname(name).toLowerCase());
  const pictures = entries.flatMap((entry) =>
    !entry.isDirectory() && isShown(entry.name) ? entry.name : [],
  );
  pictures.sort();
  if (pictures.length > 0) return pictures.map((name) => join(path, name));
  throw new XPromptError(
    `--input ${path}: expected a folder with pictures (${imageExtensions.join(", ")}), got none in it (check the path)`,
  );
}

async function standardInput(signal: AbortSignal): Promise<Uint8Array> {
  const doing = "--input -: reading standard input";
  if (process.stdin.isTTY)
    throw new UsageError(
      `${doing}: expected a picture, got a terminal (xprompt generate --input - < photo.jpg)`,
    );
  const chunks: Buffer[] = [];
  let size = 0;
  const input: AsyncIterable<Buffer> = addAbortSignal(signal, process.stdin);
  for await (const chunk of input) {
    size += chunk.length;
    if (size > maxBytes) throw new XPromptError(`${doing}: expected at most ${maxBytes} bytes, got more`);
    chunks.push(chunk);
  }
  if (size === 0)
    throw new XPromptError(
      `${doing}: expected a picture, got nothing (xprompt generate --input - < photo.jpg)`,
    );
  return Buffer.concat(chunks);
}

export interface OutputOptions {
  /** The values of `--input`. */
  readonly inputs: readonly string[];
  readonly output: string;
  readonly samples: number;
  readonly json: boolean;
  /** Files that must not be replaced. */
  readonly others: readonly string[];
  /** Ends the wait for standard input. */
  readonly signal: AbortSignal;
}

/** The calls of the model for one command. */
export interface Jobs {
  readonly jobs: readonly Job[];
  /** Whether `--output` is a folder of results. */
  readonly isFolder: boolean;
}

/**
 * One job per picture, or a single one without a picture. Several pictures, or those of a folder, go to a folder.
 * @throws UsageError or XPromptError when the results cannot be written
 */
export async function jobsOf({
  inputs: values,
  output,
  samples,
  json,
  others,
  signal,
}: OutputOptions): Promise<Jobs> {
  const inputs = await inputsOf(values, signal);
  const isFolder =
    inputs.length > 1 || (inputs.length === 1 && inputs[0]!.path !== values[0] && values[0] !== STANDARD);
  if (output === STANDARD) {
    if (isFolder || samples > 1 || json)
      throw new UsageError(
        "--output -: expected one picture for standard output, got several, or --json (give a folder or a file)",
      );
    return { jobs: [{ input: inputs[0], outputs: [STANDARD] }], isFolder };
  }
  const [only] = inputs;
  if (!isFolder && typeof only?.picture === "string") {
    const { path } = only;
    await attempt(`reading image ${path}`, path, () => stat(path));
  }
  const files = [...others, ...inputs.map(({ path }) => path)];
  const jobs = isFolder
    ? inputs.map((input) => ({
        input,
        outputs: numberedPaths(join(output, `${stemOf(input.path)}.png`), samples),
      }))
    : [{ input: inputs[0], outputs: numberedPaths(output, samples) }];
  if (isFolder) await checkFolder(output, jobs);
  else checkExtension(output, imageExtensions);
  const isNew = isFolder && !(await stat(output).catch(() => undefined));
  const paths = isNew ? [output] : jobs.flatMap(({ outputs }) => outputs);
  await checkOutputs(paths, files);
  return { jobs, isFolder };
}

const stemOf = (path: string): string => basename(path, extname(path));

async function checkFolder(output: string, jobs: readonly Job[]): Promise<void> {
  const found = await stat(output).catch(() => undefined);
  if ((found && !found.isDirectory()) || (!found && imageExtensions.includes(extname(output).toLowerCase())))
    throw new UsageError(
      `--output ${output}: expected a folder for the results of several pictures, got a file`,
    );
  // Some disks ignore case: A.png and a.png are one file there.
  const from = new Map<string, string>();
  for (const { input, outputs } of jobs)
    for (const path of outputs) {
      const key = path.toLowerCase();
      const other = from.get(key);
      if (other !== undefined)
        throw new UsageError(
          `--output ${output}: expected names that differ, got ${other} and ${input!.path}, both for ${path} (rename one, or give them one at a time)`,
        );
      from.set(key, input!.path);
    }
}
