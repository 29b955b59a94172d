/**
 * @file Hugging Face's imagefolder: pictures beside a `metadata.jsonl` or `metadata.csv` whose columns `file_name` and
 * `…_file_name` name them (https://huggingface.co/docs/datasets/image_dataset). The list is read in ranges of rows.
 */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { parse } from "papaparse";
import { messageOf, XPromptError } from "../../errors.ts";
import { loadOptional } from "../../optional.ts";
import { attempt } from "../../runtime/files.ts";
import { type ColumnNames, findColumns, keyOrDefect, sidesOf } from "./columns.ts";
import { Links } from "./links.ts";
import { type Block, Defect, type Row } from "./record.ts";
import type { Columns } from "./settings.ts";

const rowsPerBlock = 256;
const maxRowBytes = 2 ** 20;

/** Whether a file is a list of pictures. */
export const isMetadata = (name: string): boolean => /(?:^|\/)metadata\.(?:jsonl|csv)$/.test(name);

/**
 * The row ranges of a list, and the meaning of its columns.
 * @throws XPromptError for a list without rows or without a column of pictures, or with a row of more than 1 MiB
 */
export async function metadataBlocks(
  root: string,
  name: string,
  chosen: Columns,
  source: string,
): Promise<{ blocks: Block[]; columns: ColumnNames }> {
  const path = join(root, name);
  const doing = `reading data set list ${path}`;
  const csv = name.endsWith(".csv");
  const [head, ...rest] = await rowRanges(path, csv, doing);
  const table = csv && head ? await openTable((await readRange(path, head))[0]!, doing) : undefined;
  const ranges = table ? rest : [...(head ? [head] : []), ...rest];
  if (ranges.length === 0)
    throw new XPromptError(`${doing}: expected rows, got none (is it the right file?)`);
  const folder = dirname(path);
  const list: List = {
    path,
    folder,
    place: name.includes("/") ? dirname(name) : basename(resolve(folder)),
    table,
  };
  const names = table?.header ?? (await namesIn(list, ranges[0]!));
  const columns = findColumns(names, chosen, doing);
  const shared = await sharedPictures(list, ranges, columns);
  const blocks = ranges.map((range): Block => {
    const rows = async () => (await readRows(list, range)).map((row) => placed(row, list, columns, shared));
    return {
      name: `${name}, row ${range.first + 1}`,
      rowBytes: (4 * (range.end - range.start)) / rowsIn(range) + 500,
      keys: async () => Promise.all((await rows()).map((row) => keyOrDefect(row, columns, source))),
      rows,
    };
  });
  return { blocks, columns };
}

interface List {
  readonly path: string;
  readonly folder: string;
  /** Its folder, relative to the set's; the name of the set's folder itself. */
  readonly place: string;
  /** Of a CSV list; JSON lines name their own columns. */
  readonly table?: Table;
}

/** The columns of a CSV list, and what parses its rows. */
interface Table {
  readonly header: readonly string[];
  readonly parse: typeof parse;
}

/** Bytes `start` to `end` of a list. Its rows are numbered from `first`. */
interface Range {
  readonly start: number;
  readonly end: number;
  readonly first: number;
  /** Start and end of each row that is not blank, counted in bytes from `start`. */
  readonly bounds: readonly number[];
}

const rowsIn = ({ bounds }: Range): number => bounds.length / 2;

const [QUOTE, COMMA, LINE_FEED] = [0x22, 0x2c, 0x0a];
/** Bytes of a blank line. */
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0d, LINE_FEED]);
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Splits a list into ranges of whole rows, without blank lines. The header of a CSV list is a range of its own. A line
 * break ends a row unless it is in a quoted field. RFC 4180: a quote opens a field only as its first character, and is
 * doubled inside.
 */
async function rowRanges(path: string, csv: boolean, doing: string): Promise<Range[]> {
  const ranges: Range[] = [];
  let bounds: number[] = [];
  let [quoted, atFieldStart, afterQuote, blank] = [false, true, false, true];
  let [position, rowStart, start, first] = [0, 0, 0, 0];
  const close = (end: number) => {
    if (bounds.length > 0) ranges.push({ start, end, first, bounds });
    [start, first, bounds] = [end, first + bounds.length / 2, []];
  };
  const endRow = (end: number) => {
    if (!blank) bounds.push(rowStart - start, end - start);
    [rowStart, blank] = [end, true];
    if (bounds.length / 2 === rowsPerBlock || (csv && ranges.length === 0)) close(end);
  };
  const readQuotes = (byte: number) => {
    if (byte === QUOTE && (quoted || atFieldStart || afterQuote)) {
      afterQuote = quoted;
      quoted = !quoted;
    } else afterQuote = false;
    const isMark = byte === BYTE_ORDER_MARK[position - 1];
    if (!isMark) atFieldStart = !quoted && (byte === COMMA || byte === LINE_FEED);
  };
  await attempt(doing, path, async () => {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      for (const byte of chunk) {
        position++;
        if (csv) readQuotes(byte);
        if (!SPACES.has(byte)) blank = false;
        if (byte === LINE_FEED && !quoted) endRow(position);
      }
      if (position - rowStart > maxRowBytes) {
        throw new XPromptError(
          `${doing}: expected rows of at most ${maxRowBytes} bytes, got more after byte ${rowStart} (is a quote open, or is it another file?)`,
        );
      }
    }
  });
  endRow(position);
  close(position);
  return ranges;
}

/** The texts of a range's rows. */
async function readRange(path: string, { start, end, bounds }: Range): Promise<string[]> {
  const doing = `reading data set list ${path}`;
  return attempt(doing, path, async () => {
    const file = await open(path);
    try {
      const bytes = Buffer.alloc(end - start);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
      if (bytesRead < bytes.length) {
        throw new XPromptError(`${doing}: expected ${end} bytes, got fewer (did the file change meanwhile?)`);
      }
      return Array.from({ length: bounds.length / 2 }, (_, i) =>
        bytes.toString("utf8", bounds[2 * i], bounds[2 * i + 1]).replace(/^\uFEFF/, ""),
      );
    } finally {
      await file.close();
    }
  });
}

async function openTable(header: string, doing: string): Promise<Table> {
  const { default: papaparse } = await loadOptional(doing, "papaparse@5.7.1", () => import("papaparse"));
  const names = cellsOf(header, papaparse.parse);
  if (typeof names !== "string") return { header: names.map((name) => name.trim()), parse: papaparse.parse };
  throw new XPromptError(`${doing}: expected a CSV header, got: ${names} (correct the file)`);
}

/** The columns of the rows in a range. */
async function namesIn(list: List, range: Range): Promise<string[]> {
  const rows = await readRows(list, range);
  return [...new Set(rows.flatMap((row) => (row instanceof Defect ? [] : Object.keys(row.cells))))];
}

/** The rows of a range. The place of a row is its number. */
async function readRows(list: List, range: Range): Promise<(Row | Defect)[]> {
  const { table } = list;
  return (await readRange(list.path, range)).map((text, i) => {
    const place = `${list.place}/row ${range.first + i + (table ? 0 : 1)}`;
    const cells = table ? readCsvRow(text, table) : readLine(text);
    return typeof cells === "string"
      ? new Defect("metadata", place, cells)
      : { place, cells, folder: list.folder };
  });
}

/** The pictures that several rows of a list name. */
interface SharedPictures {
  /** Whether several rows have this output. */
  isOutput(name: string): boolean;
  /** The same name for all rows that are linked by shared pictures; undefined for a row that shares none. */
  groupOf(output: string): string | undefined;
}

async function sharedPictures(
  list: List,
  ranges: readonly Range[],
  columns: ColumnNames,
): Promise<SharedPictures> {
  /** Rows by output. */
  const rows = new Map<string, number>();
  const links = new Links();
  for (const range of ranges)
    for (const row of await readRows(list, range)) {
      const { input, output } = row instanceof Defect ? {} : filesOf(row, columns);
      if (output === undefined) continue;
      rows.set(output, (rows.get(output) ?? 0) + 1);
      if (input !== undefined) links.link(input, output);
    }
  const sizes = new Map<string, number>();
  for (const [output, count] of rows) {
    const leader = links.leaderOf(output);
    sizes.set(leader, (sizes.get(leader) ?? 0) + count);
  }
  return {
    isOutput: (name) => rows.get(name)! > 1,
    groupOf(output) {
      const leader = links.leaderOf(output);
      return sizes.get(leader)! > 1 ? leader : undefined;
    },
  };
}

/**
 * The row, placed by its output's name, or by both names if several rows have the output. Rows that share a picture are one
 * group.
 */
function placed(row: Row | Defect, list: List, columns: ColumnNames, shared: SharedPictures): Row | Defect {
  if (row instanceof Defect) return row;
  const { input, output } = filesOf(row, columns);
  if (output === undefined) return row;
  const place = `${list.place}/${output}`;
  const leader = input === undefined ? undefined : shared.groupOf(output);
  return {
    ...row,
    place: input !== undefined && shared.isOutput(output) ? `${place} from ${input}` : place,
    ...(leader !== undefined && { group: `${list.place}/${leader}` }),
  };
}

/** The names of a row's pictures. */
function filesOf(
  { cells }: Row,
  columns: ColumnNames,
): { readonly input?: string; readonly output?: string } {
  const nameIn = (column: string | undefined) => {
    const cell = column === undefined ? undefined : cells[column];
    return typeof cell === "string" ? cell : undefined;
  };
  const [input, output] = sidesOf(cells, columns);
  return { input: nameIn(input), output: nameIn(output) };
}

type Cells = Readonly<Record<string, unknown>>;

/** The cells of a line of JSON, or the reason why it is unusable. */
function readLine(line: string): Cells | string {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Cells;
    return "expected an object of columns, got another JSON value";
  } catch (error) {
    return `expected JSON, got: ${messageOf(error).replace(/\s+/g, " ").slice(0, 200)}`;
  }
}

/** The cells of a row of CSV, or the reason why it is unusable. */
function readCsvRow(row: string, { header, parse }: Table): Cells | string {
  const cells = cellsOf(row, parse);
  const got = typeof cells === "string" ? cells : cells.length;
  if (typeof cells === "string" || got !== header.length)
    return `expected ${header.length} columns, got ${got}`;
  return Object.fromEntries(header.map((name, i) => [name, cells[i]!]));
}

/** The cells of one row of CSV, or the reason why it is unusable. */
function cellsOf(row: string, parse: Table["parse"]): string[] | string {
  const { data, errors } = parse<string[]>(row, { delimiter: ",", skipEmptyLines: true });
  if (errors[0]) return `unusable text: ${errors[0].message}`;
  if (data.length > 1) return `${data.length} rows in one line (does it have carriage returns inside?)`;
  return data[0] ?? "an empty line";
}
