/** @file Resolves the path of a data set to files: one file, a folder with subfolders, or a pattern. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { XPromptError } from "../../errors.ts";
import { attempt } from "../../runtime/files.ts";

/** Files below a folder: `names` relative to `root`, with forward slashes, in order. */
export interface FileList {
  readonly root: string;
  readonly names: readonly string[];
}

/** The end of a picture's file name; case does not matter. */
export const pictureFile = String.raw`\.(?:png|jpe?g|webp|tiff?)$`;

const maxDepth = 16;
const patternSigns = /[*?{]/;

/**
 * The files that `path` stands for. Omits hidden files; follows links to files, but not to folders.
 * @throws XPromptError if there is no such file or folder, or no file matches the pattern
 */
export async function listFiles(path: string): Promise<FileList> {
  const doing = `reading data set ${path}`;
  const found = await stat(path).catch(() => undefined);
  if (!found && patternSigns.test(path)) return listPattern(path, doing);
  const there = found ?? (await attempt(doing, path, () => stat(path)));
  if (there.isFile()) return { root: dirname(path), names: [basename(path)] };
  return { root: path, names: await walk(path, doing) };
}

async function listPattern(path: string, doing: string): Promise<FileList> {
  const root = dirname(`${path.slice(0, path.search(patternSigns))}_`); // "_": a name of at least one character
  const pattern = patternToRegExp(relative(root, path).replaceAll(sep, "/"));
  const names = (await walk(root, doing)).filter((name) => pattern.test(name));
  if (names.length === 0) {
    throw new XPromptError(`${doing}: expected files that match the pattern, got none (check the pattern)`);
  }
  return { root, names };
}

async function walk(root: string, doing: string, below = "", depth = 0): Promise<string[]> {
  const folder = join(root, below);
  const entries = await attempt(doing, folder, () => readdir(folder, { withFileTypes: true }));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const names: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const name = below + entry.name;
    if (entry.isDirectory() && depth < maxDepth) {
      for (const each of await walk(root, doing, `${name}/`, depth + 1)) names.push(each);
    } else if (await isFile(entry, join(root, name))) names.push(name);
  }
  return names;
}

async function isFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** `*` and `?` match within a folder, `**` across folders; `{a,b}` is a choice, `{00..12}` a range with equal width. */
function patternToRegExp(pattern: string): RegExp {
  const source = pattern.replace(
    /\*\*\/?|\*|\?|\{(\d+)\.\.(\d+)\}|\{([^{}]*)\}|[.+^$()|[\]\\{}]/g,
    (sign, from?: string, to?: string, choice?: string) => {
      if (sign === "**/") return "(?:[^/]+/)*";
      if (sign === "**") return ".*";
      if (sign === "*") return "[^/]*";
      if (sign === "?") return "[^/]";
      if (from !== undefined && to !== undefined) return numbers(from, to, pattern);
      if (choice !== undefined)
        return `(?:${choice
          .split(",")
          .map((each) => each.replace(/[.+^$()|[\]\\*?]/g, "\\$&"))
          .join("|")})`;
      return `\\${sign}`;
    },
  );
  return new RegExp(`^${source}$`);
}

function numbers(from: string, to: string, pattern: string): string {
  const count = Number(to) - Number(from) + 1;
  if (count < 1 || count > 100_000) {
    throw new XPromptError(
      `reading the pattern ${pattern}: expected 1 to 100000 numbers in {${from}..${to}}, got ${count} (correct it)`,
    );
  }
  const width = from.length;
  const each = Array.from({ length: count }, (_, i) => String(Number(from) + i).padStart(width, "0"));
  return `(?:${each.join("|")})`;
}

const splitNames: Readonly<Record<string, string>> = {
  train: "train",
  training: "train",
  our485: "train",
  nyu2_train: "train",
  test: "test",
  testing: "test",
  eval15: "test",
  nyu2_test: "test",
  val: "validation",
  valid: "validation",
  validation: "validation",
  dev: "validation",
};

/** Where names state the split: in folders, for shards also in the file's prefix (`train-00000-of-00051`). */
type SplitBy = "folders" | "shards";

/** The split that a name states, if any. */
function splitOf(name: string, by: SplitBy): string | undefined {
  return splitSteps(name.toLowerCase(), by)
    .map((step) => splitNames[step])
    .find((split) => split !== undefined);
}

function splitSteps(name: string, by: SplitBy): string[] {
  const steps = name.split("/");
  const file = steps.pop()!;
  return by === "folders" ? steps : [...steps, /^[^-.]+/.exec(file)?.[0] ?? ""];
}

/** The set does not have the requested split. */
export class MissingSplit extends XPromptError {
  constructor(
    message: string,
    /** Whether its files state other splits. */
    readonly hasOthers: boolean,
  ) {
    super(message);
  }
}

/**
 * The `items` of the requested split. Defaults to `train` if there is such a split, else to all items.
 * @param nameOf the name that states an item's split
 * @throws MissingSplit if no item is of that split
 */
export function ofSplit<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
  by: SplitBy,
  split: string | undefined,
  doing: string,
): readonly T[] {
  if (split === "all") return items;
  const known = split === undefined ? "train" : splitNames[split.toLowerCase()];
  const kept = items.filter((item) =>
    known === undefined ? splitSteps(nameOf(item), by).includes(split!) : splitOf(nameOf(item), by) === known,
  );
  if (kept.length > 0) return kept;
  if (split === undefined) return items;
  const there = new Set(items.map((item) => splitOf(nameOf(item), by)).filter((each) => each !== undefined));
  throw new MissingSplit(
    `${doing}: expected a split "${split}", got ${[...there].join(", ") || "none"} (correct the setting split)`,
    there.size > 0,
  );
}
