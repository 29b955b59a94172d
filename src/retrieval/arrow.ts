/**
 * @file LanceDB and Apache Arrow, optional peers of this package. They are loaded when a library is first opened:
 * everything else works without them.
 */
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import type * as Lance from "@lancedb/lancedb";
import type * as Arrow from "apache-arrow";
import { firstLineOf, messageOf, XPromptError } from "../errors.ts";

export type { Lance };

interface Databases {
  readonly lance: typeof Lance;
  /** The very module that LanceDB uses: it knows its own classes only. */
  readonly arrow: typeof Arrow;
}

let loaded: Databases | undefined;

/** @throws XPromptError where LanceDB is not installed, or has no binary for this platform */
export function databases(): Databases {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  // Its own log would stand beside our one line on standard error.
  process.env.LANCEDB_LOG ??= "off";
  // Left to itself on a machine with two cores, it has so few threads that indexing a million vectors waits for ever.
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

/** Kinds of columns: text, bytes, a number, or vectors of so many float32 values. */
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

/** A vector that was read; undefined where there is none. */
export const vectorOf = (cell: unknown): Float32Array | undefined =>
  (cell as { toArray(): Float32Array } | null)?.toArray();

/**
 * What LanceDB does, its failures as one clear line.
 * @throws XPromptError as `doing: got: …`
 */
export async function attemptLance<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    if (/os error 28\b|no space left/i.test(messageOf(error)))
      throw new XPromptError(
        `${doing}: expected room on the disk, got: it is full (free some space; what was added before stays)`,
        { code: "ERR_FILE", cause: error },
      );
    throw new XPromptError(
      `${doing}: expected a whole library that can be reached, got: ${withoutPlaces(firstLineOf(error))} (check the path and the rights; a damaged library is restored from a copy, or made again from its export)`,
      { cause: error },
    );
  }
}

/** A native message without the places in its Rust source, and not too long. */
const withoutPlaces = (line: string): string => line.replace(/,? ?\/\S*\.rs:\d+(:\d+)?.*$/, "").slice(0, 300);
