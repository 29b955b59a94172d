/**
 * @file Pairs by file name. A layout has a pattern for the names of each side. Sides whose named groups are equal form a
 * pair. One output may have several inputs (fourteen rains over one scene).
 */
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import { readFileChecked } from "../../runtime/files.ts";
import { type ColumnNames, keyOrDefect } from "./columns.ts";
import { type FileList, pictureFile } from "./files.ts";
import { type Block, Defect, type Row } from "./record.ts";

export interface Layout {
  /** Patterns of names relative to the set's folder; the values of all named groups together are the key. */
  readonly input: RegExp;
  readonly output: RegExp;
  /** Whether a folder shows one scene: its pairs stay on one side of the held-out split. */
  readonly byScene?: true;
}

/** `folder/…/<input>/name` and `folder/…/<output>/name`. */
export function twoFolders(input: string, output: string): Layout {
  const side = (name: string) =>
    new RegExp(`^(?<folder>(?:[^/]+/)*)(?:${name})/(?<name>(?:[^/]+/)*[^/]+)${pictureFile}`, "i");
  return { input: side(input), output: side(output) };
}

/** `name.before.png` and `name.after.png`; also with `-` or `_` instead of the dot. */
function twoEndings(input: string, output: string): Layout {
  const side = (name: string) =>
    new RegExp(`^(?<folder>(?:[^/]+/)*)(?<name>[^/]*?)[-._ ]?(?<![a-z])(?:${name})${pictureFile}`, "i");
  return { input: side(input), output: side(output) };
}

/** Layouts of folders that are not a public set. */
export const plainLayouts: readonly Layout[] = [
  twoFolders("inputs?", "outputs?|targets?"),
  twoFolders("before", "after"),
  twoFolders("sources?", "targets?"),
  twoEndings("before", "after"),
  twoEndings("input", "output|target"),
  twoEndings("source", "target"),
];

/** Files that form a pair. */
export interface Sides {
  /** The common part of the names of both sides: folder and name. */
  readonly stem: string;
  readonly inputs: string[];
  output?: string;
  /** Further outputs of the same name, which are left out. */
  readonly others: string[];
  readonly byScene?: true;
}

/** The names that form pairs, by the first layout that matches each file. */
function pairUp(names: readonly string[], layouts: readonly Layout[]): Sides[] {
  const pairs = new Map<string, Sides>();
  for (const name of names) {
    for (const [number, layout] of layouts.entries()) {
      const isInput = layout.input.exec(name);
      const found = isInput ?? layout.output.exec(name);
      if (!found) continue;
      const key = JSON.stringify([number, ...Object.values(found.groups!)]);
      const stem = Object.values(found.groups!).join("");
      const sides = pairs.get(key) ?? { stem, inputs: [], others: [], byScene: layout.byScene };
      if (isInput) sides.inputs.push(name);
      else if (sides.output === undefined) sides.output = name;
      else sides.others.push(name);
      pairs.set(key, sides);
      break;
    }
  }
  return [...pairs.values()];
}

/**
 * The pairs of files, and sides without a partner: by all `layouts` of a public set, else by the layout that gives the
 * most pairs.
 * @returns an empty list if no two files form a pair
 */
export function pairFiles(
  names: readonly string[],
  layouts: readonly Layout[],
  choose: "all" | "best",
): readonly Sides[] {
  const candidates = choose === "all" ? [layouts] : layouts.map((layout) => [layout]);
  const whole = (pairs: readonly Sides[]) => pairs.filter(({ inputs, output }) => inputs[0] && output).length;
  const pairs = candidates
    .map((each) => pairUp(names, each))
    .reduce((best, each) => (whole(each) > whole(best) ? each : best));
  return whole(pairs) > 0 ? pairs : [];
}

/** Pairs of files as one block. */
export function folderBlock(
  { root, names }: FileList,
  pairs: readonly Sides[],
  columns: ColumnNames,
  source: string,
): Block {
  const texts = new Set(names.filter((name) => name.endsWith(".txt")));
  const entries = pairs.flatMap((sides) => rowsOf(sides, root, texts));
  return {
    name: "pairs of files",
    rowBytes: 0, // the names are held already
    keys: () => Promise.all(entries.map((row) => keyOrDefect(row, columns, source))),
    rows: async () => entries,
  };
}

/** Columns of a folder of pairs: both sides, their folder, and a text file with the pair's name. */
export const folderColumns = ["input", "output", "folder", "instruction"] as const;

function rowsOf(
  { stem, inputs, output, others, byScene }: Sides,
  root: string,
  texts: ReadonlySet<string>,
): (Row | Defect)[] {
  if (inputs.length === 0) return [new Defect("missing", output!, "it has no input picture beside it")];
  const left = others.map((name) => new Defect("missing", name, `it is a second output of ${inputs[0]}`));
  const rows = inputs.map((input) => {
    const place = input.replace(/\.[^.]+$/, "");
    if (output === undefined) return new Defect("missing", input, "it has no output picture beside it");
    const folder = input.slice(0, input.lastIndexOf("/") + 1);
    const text = [`${place}.txt`, `${stem}.txt`].find((name) => texts.has(name));
    return {
      place,
      folder: root,
      // The inputs of one output are not to be on both sides of the held-out split, nor two pictures of one scene.
      ...(byScene ? { group: folder } : inputs.length > 1 && { group: output }),
      cells: {
        input,
        output,
        folder,
        ...(text === undefined ? {} : { instruction: () => readText(join(root, text), place) }),
      },
    };
  });
  return [...rows, ...left];
}

/** @throws Defect for a text that is missing or too long: the record is skipped. A failure of the disk is an error */
async function readText(path: string, place: string): Promise<string> {
  try {
    return (await readFileChecked(path, "instruction", 64 * 2 ** 10)).toString("utf8");
  } catch (error) {
    const isMissing = ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
    if (!(error instanceof XPromptError) || (error.code === "ERR_FILE" && !isMissing)) throw error;
    throw new Defect("metadata", place, error.message);
  }
}
