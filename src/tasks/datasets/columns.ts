/** @file The meaning of a data set's columns: finds them by common names, and makes records from their cells. */
import { resolve } from "node:path";
import { XPromptError } from "../../errors.ts";
import { isInside } from "../../runtime/files.ts";
import { pictureFile } from "./files.ts";
import { Defect, type PairRecord, type Picture, type Row, type RowKey } from "./record.ts";
import type { Columns, Role } from "./settings.ts";

/** The columns that can have each role, in order of precedence. For each record, the first existing one counts. */
export type ColumnNames = Readonly<Record<Role, readonly string[]>>;

/** Column names of a record's only picture, or of the side without a specific name. */
const plain = ["image", "file_name", "png", "jpg", "jpeg", "webp"];
/** In file lists, column names of pictures end in `_file_name`. */
const pictures = (...names: string[]) => [...names.flatMap((name) => [name, `${name}_file_name`]), ...plain];
const usual: ColumnNames = {
  id: ["id", "__key__"],
  group: [],
  task: [],
  input: pictures(
    ...["input", "input_image", "source_image", "source_img", "source", "original_image", "before"],
  ),
  output: pictures(
    ...["output", "output_image", "target_image", "target_img", "target", "edited_image", "after"],
  ),
  instruction: ["instruction", "edit_instruction", "edit_prompt", "prompt", "caption", "text", "txt"],
  difference: ["difference"],
  reverseInstruction: ["reverseInstruction", "reverse_instruction", "inverse_instruction"],
  subtask: ["subtask", "sub_task", "edit_type", "category"],
  licence: ["licence", "license"],
};
const roles = Object.keys(usual) as Role[];
/** Usual columns of pictures that in many sets hold something else, such as the name of a website or a label. */
const ambiguous = ["source", "target"];
/** The most characters of a text in a record. */
const maxText = 4000;

/**
 * The columns of every role: the chosen one, or those with common names.
 * @param names the existing columns; if records name their own, those of the first records
 * @throws XPromptError for a chosen column that does not exist, and when there is no column with a picture
 */
export function findColumns(names: readonly string[], chosen: Columns, doing: string): ColumnNames {
  const found = Object.fromEntries(
    roles.map((role) => {
      const wanted = chosen[role];
      if (wanted !== undefined && !names.includes(wanted)) {
        throw new XPromptError(
          `${doing}: expected a column "${wanted}" (columns.${role}), got ${list(names)} (correct the setting)`,
        );
      }
      return [role, wanted === undefined ? usual[role] : [wanted]];
    }),
  ) as Record<Role, readonly string[]>;
  if (!found.output.some((name) => names.includes(name))) {
    throw new XPromptError(
      `${doing}: expected a column with the output picture, such as output, target_image or edited_image, got ${list(names)} (name it: columns.output)`,
    );
  }
  return isPlainInput(found, names)
    ? { ...found, output: found.output.filter((name) => !plain.includes(name)) }
    : found;
}

/**
 * Whether the outputs have a name of their own and the inputs have none: a plain picture is an input then, and a row
 * without its output does not become text to image.
 */
function isPlainInput({ input, output }: ColumnNames, names: readonly string[]): boolean {
  const hasOwn = (columns: readonly string[]) =>
    columns.some((name) => names.includes(name) && !plain.includes(name) && !ambiguous.includes(name));
  return hasOwn(output) && !hasOwn(input);
}

/**
 * The columns of a role that are among `names`. For pictures only the first, and no column for both sides.
 * @param mayBePicture whether a column's type can be that of a picture
 */
export function columnsAmong(
  columns: ColumnNames,
  names: readonly string[],
  mayBePicture: (name: string) => boolean,
): ColumnNames {
  const [input, output] = sidesAmong(columns, (name) => names.includes(name), mayBePicture);
  const among = (role: Role) => columns[role].filter((name) => names.includes(name));
  const texts = Object.fromEntries(roles.map((role) => [role, among(role)])) as Record<Role, string[]>;
  return {
    ...texts,
    input: input === undefined ? [] : [input],
    output: output === undefined ? [] : [output],
  };
}

type Sides = readonly [input: string | undefined, output: string | undefined];

/**
 * The existing columns of the two sides. An ambiguous one must look like a picture, unless the settings name it, or no other
 * column can be the output.
 */
function sidesAmong(
  columns: ColumnNames,
  has: (name: string) => boolean,
  mayBePicture: (name: string) => boolean,
): Sides {
  const isClear = (name: string) => !ambiguous.includes(name) || mayBePicture(name);
  const first = (names: readonly string[], isFit: (name: string) => boolean) =>
    names.find((name) => has(name) && (names.length === 1 || isFit(name)));
  const clear = first(columns.output, isClear);
  const output = clear ?? first(columns.output, () => true);
  return [first(columns.input, (name) => name !== output && (!clear || isClear(name))), output];
}

/** The columns of a row's two sides. */
export const sidesOf = (cells: Row["cells"], columns: ColumnNames): Sides =>
  sidesAmong(
    columns,
    (name) => present(cells[name]),
    (name) => looksLikePicture(cells[name]),
  );

function list(names: readonly string[]): string {
  const shown = names.slice(0, 12).join(", ");
  return names.length > 12 ? `${shown}, …` : shown || "none";
}

/** Metadata of a set that holds for all its records. */
export interface SetWords {
  readonly source: string;
  readonly instruction?: string;
  readonly difference?: string;
  readonly reverseInstruction?: string;
  readonly subtask?: string;
  readonly licence?: string;
}

/** The task of text-to-image records. */
export const textToImage = "text-to-image";

/**
 * The key of a row.
 * @throws Defect for a cell that is not a text, a number or a boolean
 */
export async function keyOf(row: Row, columns: ColumnNames, source: string): Promise<RowKey> {
  const id = (await textOf(row, columns.id)) ?? row.place;
  const [input] = sidesOf(row.cells, columns);
  const task = input === undefined ? textToImage : ((await textOf(row, columns.task)) ?? source);
  return { id, group: (await textOf(row, columns.group)) ?? row.group ?? id, task };
}

/** The key of a row, or its defect. */
export async function keyOrDefect(
  row: Row | Defect,
  columns: ColumnNames,
  source: string,
): Promise<RowKey | Defect> {
  return row instanceof Defect ? row : orDefect(() => keyOf(row, columns, source));
}

/** The result of `work`, or the defect that it throws. */
export async function orDefect<T>(work: () => Promise<T>): Promise<T | Defect> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Defect) return error;
    throw error;
  }
}

/**
 * The record of a row.
 * @throws Defect for a missing side, a cell of the wrong type, or a path that leaves the set's folder
 */
export async function recordOf(row: Row, columns: ColumnNames, words: SetWords): Promise<PairRecord> {
  const { place, cells } = row;
  const text = (role: Exclude<Role, "input" | "output">) => textOf(row, columns[role]);
  const picture = async (name: string | undefined) =>
    name === undefined ? undefined : pictureOf(cells[name], row, name);
  const sides = sidesOf(cells, columns);
  const [input, output] = [await picture(sides[0]), await picture(sides[1])];
  if (output === undefined) throw new Defect("missing", place, "it has no output picture");
  const instruction = (await text("instruction")) ?? words.instruction;
  if (input === undefined && instruction === undefined) {
    throw new Defect("missing", place, "it has neither an input picture nor a caption");
  }
  const { id, task } = await keyOf(row, columns, words.source);
  return {
    id,
    task,
    ...(input === undefined ? {} : { input }),
    output,
    instruction,
    difference: (await text("difference")) ?? words.difference,
    reverseInstruction: (await text("reverseInstruction")) ?? words.reverseInstruction,
    subtask: (await text("subtask")) ?? words.subtask,
    source: sides.includes(SOURCE) ? words.source : (sourceIn(cells) ?? words.source),
    licence: (await text("licence")) ?? words.licence,
  };
}

/** Where an example library writes the set that a pair came from; other sets may have a picture there. */
const SOURCE = "source";
const sourceIn = (cells: Row["cells"]): string | undefined => {
  const cell = cells[SOURCE];
  return typeof cell === "string" && !looksLikePicture(cell) && cell.trim()
    ? cell.trim().slice(0, maxText)
    : undefined;
};

const present = (cell: unknown): boolean => cell !== undefined && cell !== null && cell !== "";

/** The row's first existing column as text. A function as cell is called to read it. */
async function textOf({ cells, place }: Row, names: readonly string[]): Promise<string | undefined> {
  const name = names.find((each) => present(cells[each]));
  const held = name === undefined ? undefined : cells[name];
  const cell: unknown = typeof held === "function" ? await held() : held;
  if (!present(cell)) return undefined;
  if (!["string", "number", "bigint", "boolean"].includes(typeof cell)) {
    throw new Defect("type", place, `expected text in ${name}, got ${kindOf(cell)}`);
  }
  const text = String(cell).trim();
  if (text.length > maxText) {
    throw new Defect("type", place, `expected at most ${maxText} characters in ${name}, got ${text.length}`);
  }
  return text === "" ? undefined : text;
}

const pictureName = new RegExp(pictureFile, "i");

/** Whether `pictureOf` accepts a cell; of texts, the names of pictures alone. */
function looksLikePicture(cell: unknown): boolean {
  if (typeof cell === "string") return pictureName.test(cell);
  if (typeof cell !== "object" || cell === null) return typeof cell === "function";
  return cell instanceof Uint8Array || "bytes" in cell || "path" in cell;
}

/** A cell holds bytes, a path, `{ bytes, path }` as in Hugging Face's data sets, or a function that reads the bytes. */
async function pictureOf(cell: unknown, row: Row, name: string): Promise<Picture> {
  if (cell instanceof Uint8Array) return cell;
  if (typeof cell === "function") return (cell as () => Promise<Uint8Array>)();
  if (typeof cell === "string") return inside(cell, row);
  if (typeof cell === "object" && cell !== null) {
    const { bytes, path } = cell as { bytes?: unknown; path?: unknown };
    if (bytes instanceof Uint8Array) return bytes;
    if (typeof path === "string") return inside(path, row);
  }
  throw new Defect("type", row.place, `expected a picture in ${name}, got ${kindOf(cell)}`);
}

function inside(path: string, { place, folder }: Row): string {
  if (folder === undefined) throw new Defect("path", place, "it names a file, but the set has no folder");
  const full = resolve(folder, path);
  if (!isInside(folder, full))
    throw new Defect("path", place, `expected a path inside the set's folder, got ${path}`);
  return full;
}

function kindOf(cell: unknown): string {
  if (cell === null) return "nothing";
  if (Array.isArray(cell)) return "a list";
  if (cell instanceof Uint8Array) return "bytes";
  return typeof cell === "object" ? "a structure" : `a ${typeof cell}`;
}
