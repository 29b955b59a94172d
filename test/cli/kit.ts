/** @file Running the command line as its users do: as a process, in a folder, with what it writes looked at. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, expect } from "vitest";
import { savePng } from "../../src/image/index.ts";
import { bin } from "../built.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";
import { readChunks } from "../image/png-parts.ts";

export { bin, repository } from "../built.ts";

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs: what it has said so far, and how it ended. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  /** Resolves to the match once standard error has said something that matches. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

export function start(command: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let [stdout, stderr] = ["", ""];
  const listeners: (() => void)[] = [];
  child.stdout?.on("data", (data) => {
    stdout += data;
  });
  child.stderr?.on("data", (data) => {
    stderr += data;
    for (const listener of listeners) listener();
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
  const says = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(stderr);
        if (match) resolve(match);
      };
      listeners.push(look);
      look();
      ended.then(() => reject(new Error(`ended without saying ${pattern}: ${stderr}`)), reject);
    });
  return { child, ended, says };
}

/** A folder of its own for a file of tests, with a tiny model and pictures in it, and the command run there. */
export async function workplace() {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-cli-"));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  await writeTinyModel(join(folder, "tiny"));
  for (const name of ["before", "after", "query"])
    await savePng(join(folder, `${name}.png`), somePicture(name));
  const at = (...parts: string[]) => join(folder, ...parts);

  const xprompt = (...args: string[]): Promise<Outcome> =>
    start(process.execPath, [bin, ...args], { cwd: folder }).ended;

  /** Runs and expects success. */
  const succeed = async (...args: string[]): Promise<Outcome> => {
    const outcome = await xprompt(...args);
    expect(outcome, outcome.stderr).toMatchObject({ status: 0, signal: null });
    return outcome;
  };

  /** Runs with `--json` and expects exactly one JSON object, and nothing else, on standard output. */
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { stdout } = await succeed(...args, "--json");
    expect(stdout).toMatch(/^\{.*\}\n$/);
    return JSON.parse(stdout);
  };

  /** Checks that something was refused: the status, one clear line, nothing on standard output, nothing written. */
  const refused = async (
    work: () => Promise<Outcome>,
    status: 1 | 2 | 130,
    says: RegExp | string,
    options?: { readonly afterProgress: boolean },
  ): Promise<Outcome> => {
    const before = await listing(folder);
    const outcome = await work();
    expect(outcome, outcome.stderr).toMatchObject({ status, signal: null, stdout: "" });
    expectOneLine(outcome.stderr, says, options);
    expect(await listing(folder)).toEqual(before);
    return outcome;
  };
  return { folder, at, xprompt, succeed, json, refused };
}

/** One line that says so, after the plain lines of progress if there may be some; no stack, no talk of a defect. */
export function expectOneLine(
  stderr: string,
  says: RegExp | string,
  { afterProgress = false }: { readonly afterProgress?: boolean } = {},
): void {
  const lines = stderr
    .split("\n")
    .filter((line) => !(afterProgress && /^generating: \d+\/\d+ rows /.test(line)));
  expect(lines, stderr).toHaveLength(2);
  expect(lines[1]).toBe("");
  expect(lines[0]).toMatch(/^xprompt: /);
  if (typeof says === "string") expect(lines[0]).toContain(says);
  else expect(lines[0]).toMatch(says);
  expect(lines[0]).not.toMatch(/internal error|please report/);
}

/** Everything below a folder; files with their size and the moment of their last change. */
export async function listing(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true });
  const described = entries.map(async (name) => {
    const entry = await stat(join(folder, name));
    // A folder's time tells of locks that were there for a moment.
    return entry.isDirectory()
      ? `${name}/ ${entry.mode}`
      : `${name} ${entry.size} ${entry.mtimeMs} ${entry.mode}`;
  });
  return (await Promise.all(described)).sort();
}

/** The pixels of a picture file, as another reader sees them. */
export async function pixelsOf(path: string): Promise<{ width: number; height: number; data: Buffer }> {
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** The settings in the text of a PNG. */
export async function settingsIn(path: string): Promise<Record<string, unknown>> {
  const texts = readChunks(await readFile(path))
    .filter(({ type }) => type === "tEXt" || type === "iTXt")
    .map(({ type, data }) => {
      const text = data.toString(type === "tEXt" ? "latin1" : "utf8");
      return [text.slice(0, text.indexOf("\0")), text.slice(text.lastIndexOf("\0") + 1)] as const;
    });
  return JSON.parse(Object.fromEntries(texts).xprompt!);
}
