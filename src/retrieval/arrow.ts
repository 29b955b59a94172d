/**
 * @file LanceDB and Apache Arrow, optional peer dependencies. They are loaded when a library is first opened.
 */
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import type * as Lance from "@lancedb/lancedb";
import type * as Arrow from "apache-arrow";
import { firstLineOf, messageOf, XPromptError } from "../errors.ts";
import { withoutCredentials } from "../runtime/storage/environment.ts";

export type { Lance };

interface Databases {
  readonly lance: typeof Lance;
  /** The copy of the module that LanceDB uses: it accepts no classes of another copy. */
  readonly arrow: typeof Arrow;
}

let loaded: Databases | undefined;

/** @throws XPromptError when LanceDB is not installed, or has no binary for this platform */
export function databases(): Databases {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  // LanceDB's log would clutter standard error.
  process.env.LANCEDB_LOG ??= "off";
  // By default it has so few threads on two cores that indexing a million vectors deadlocks.
  process.env.LANCE_CPU_THREADS ??= String(Math.max(4, availableParallelism()));
  try {
    const lance = require("@lancedb/lancedb") as typeof Lance;
    const arrow = createRequire(require.resolve("@lancedb/lancedb"))("apache-arrow") as typeof Arrow;
    loaded = { lance, arrow };
    return loaded;
  } catch (error) {
    throw new XPromptError(
      `opening an example library: expected LanceDB for ${process.platform}-${process.arch}, got: ${firstLineOf(error)} (npm install @lancedb/lancedb@0.31.0 apache-arrow@18.1.0, with optional packages; LanceDB has no binary for other platforms)`,
      { code: "ERR_PACKAGE", cause: error },
    );
  }
}

/** Kinds of columns: text, bytes, an integer, or float32 vectors of a fixed length. */
export type ColumnKind = "text" | "bytes" | "integer" | { readonly vector: number };
export type ColumnKinds = Readonly<Record<string, ColumnKind>>;
type Cell = string | Uint8Array | number | Float32Array | null;
export type Row = Readonly<Record<string, Cell>>;

function typeOf(kind: ColumnKind): Arrow.DataType {
  const { Binary, Field, FixedSizeList, Float32, Int32, Utf8 } = databases().arrow;
  if (typeof kind === "object") return new FixedSizeList(kind.vector, new Field("item", new Float32(), true));
  return { text: new Utf8(), bytes: new Binary(), integer: new Int32() }[kind];
}

export function schemaOf(columns: ColumnKinds, metadata: Readonly<Record<string, string>>): Arrow.Schema {
  const { Field, Schema } = databases().arrow;
  const fields = Object.entries(columns).map(([name, kind]) => new Field(name, typeOf(kind), true));
  return new Schema(fields, new Map(Object.entries(metadata)));
}

/** Rows as one Arrow table. Built by hand: converting rows of numbers one by one is a hundred times slower. */
export function tableOf(schema: Arrow.Schema, columns: ColumnKinds, rows: readonly Row[]): Arrow.Table {
  const { makeData, RecordBatch, Struct, Table } = databases().arrow;
  const children = Object.entries(columns).map(([name, kind]) =>
    columnOf(
      kind,
      rows.map((row) => row[name] ?? null),
    ),
  );
  const data = makeData({ type: new Struct(schema.fields), length: rows.length, nullCount: 0, children });
  return new Table(schema, [new RecordBatch(schema, data)]);
}

function columnOf(kind: ColumnKind, cells: readonly Cell[]): Arrow.Data {
  const { makeData, vectorFromArray } = databases().arrow;
  if (typeof kind !== "object") return vectorFromArray(cells, typeOf(kind)).data[0]!;
  const { Float32 } = databases().arrow;
  const flat = new Float32Array(cells.length * kind.vector);
  const nullBitmap = new Uint8Array(Math.ceil(cells.length / 8));
  let nullCount = 0;
  for (const [i, cell] of cells.entries()) {
    if (cell === null) {
      nullCount++;
      continue;
    }
    nullBitmap[i >> 3]! |= 1 << (i & 7);
    flat.set(cell as Float32Array, i * kind.vector);
  }
  const child = makeData({ type: new Float32(), length: flat.length, nullCount: 0, data: flat });
  return makeData({
    type: typeOf(kind) as Arrow.FixedSizeList,
    length: cells.length,
    nullCount,
    nullBitmap,
    child,
  });
}

/** The vector of a cell; undefined if it is empty. */
export const vectorOf = (cell: unknown): Float32Array | undefined =>
  (cell as { toArray(): Float32Array } | null)?.toArray();

/**
 * Runs an operation of LanceDB; its errors become XPromptErrors.
 * @throws XPromptError as `doing: got: …`
 */
export async function attemptLance<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    if (/os error 28\b|no space left/i.test(messageOf(error)))
      throw new XPromptError(
        `${doing}: expected room on the disk, got: it is full (free some space; examples that were added before stay)`,
        { code: "ERR_FILE", cause: error },
      );
    const rights = /s3:\/\//.test(doing)
      ? "the URL, AWS_ENDPOINT_URL and the credentials"
      : "the path and the permissions";
    throw new XPromptError(
      `${doing}: expected a complete library that can be reached, got: ${withoutCredentials(withoutPlaces(firstLineOf(error)))} (check ${rights}; restore a damaged library from a copy, or create it again from its export)`,
      { cause: error },
    );
  }
}

/** A native message without the locations in its Rust source, shortened. */
const withoutPlaces = (line: string): string => line.replace(/,? ?\/\S*\.rs:\d+(:\d+)?.*$/, "").slice(0, 300);
