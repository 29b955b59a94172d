/**
 * @file Parquet shards as in Hugging Face's data sets, with pictures as structures `{ bytes, path }`. Reads one row
 * group at a time, or a part of one if the file has a page index; never a whole file.
 */
import { open, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { AsyncBuffer, Compressors, FileMetaData, SchemaTree } from "hyparquet";
import { messageOf, XPromptError } from "../../errors.ts";
import { clamp } from "../../numbers.ts";
import { attempt } from "../../runtime/files.ts";
import { parquetReader } from "../../runtime/parquet.ts";
import { type ColumnNames, columnsAmong, findColumns, keyOrDefect } from "./columns.ts";
import { type Block, Defect, type Row, type RowKey } from "./record.ts";
import type { Columns } from "./settings.ts";

/** The most memory of a page, or of a row group's needed columns, in bytes. */
const maxGroupBytes = 2 ** 31;
const maxFooterBytes = 64 * 2 ** 20;
/** With a page index, row groups are split into parts of about this many bytes. */
const partBytes = 64 * 2 ** 20;

interface Shard {
  readonly path: string;
  readonly name: string;
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: readonly string[];
  /** Those with a type that pictures have. */
  readonly pictures: readonly string[];
}

/** A part of a row group. */
interface Part {
  readonly shard: Shard;
  readonly start: number;
  readonly end: number;
}

/**
 * The row groups of shards, and the meaning of their columns, which are the same in all shards.
 * @throws XPromptError for a file that is not Parquet, is truncated, or has other columns than the first
 */
export async function parquetBlocks(
  root: string,
  names: readonly string[],
  chosen: Columns,
  source: string,
): Promise<{ blocks: Block[]; columns: ColumnNames }> {
  const blocks: Block[] = [];
  let columns: ColumnNames | undefined;
  for (const name of names) {
    const shard = await openShard(root, name);
    const there = shard.columns;
    columns ??= columnsAmong(
      findColumns(there, chosen, `reading Parquet shard ${shard.path}`),
      there,
      (column) => shard.pictures.includes(column),
    );
    for (const wanted of Object.values(columns).flat()) {
      if (there.includes(wanted)) continue;
      throw new XPromptError(
        `reading Parquet shard ${shard.path}: expected a column "${wanted}" as in ${names[0]}, got ${there.join(", ")} (are two sets mixed?)`,
      );
    }
    for (const block of shardBlocks(shard, columns, source)) blocks.push(block);
  }
  return { blocks, columns: columns! };
}

/** The columns of one shard, to detect the set. */
export async function parquetColumns(root: string, name: string): Promise<readonly string[]> {
  return (await openShard(root, name)).columns;
}

async function openShard(root: string, name: string): Promise<Shard> {
  const path = join(root, name);
  const doing = `reading Parquet shard ${path}`;
  const { parquetMetadataAsync, parquetSchema } = await parquetReader(doing);
  return attempt(doing, path, async () => {
    const file = await fileBuffer(path);
    try {
      if (file.byteLength < 12) throw new Error("it is too short");
      const tail = new DataView(await file.slice(file.byteLength - 8, file.byteLength));
      if (tail.getUint32(4, true) !== 0x31524150) throw new Error("it does not end as one does");
      if (tail.getUint32(0, true) > maxFooterBytes) throw new Error("its footer is too large");
      const metadata = await parquetMetadataAsync(file, { geoparquet: false });
      const { children } = parquetSchema(metadata);
      const nameOf = ({ element }: SchemaTree) => element.name;
      const [columns, pictures] = [children.map(nameOf), children.filter(mayBePicture).map(nameOf)];
      return { path, name, file, metadata, columns, pictures };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall) throw error;
      throw new XPromptError(
        `${doing}: expected a whole Parquet file, got another or a broken one: ${messageOf(error)} (download it again)`,
      );
    }
  });
}

/** Whether a column has the type of a picture: a structure with bytes or a path, or bytes that are not declared as text. */
const mayBePicture = ({ children, element: { type, converted_type, logical_type } }: SchemaTree): boolean =>
  children.some(({ element: { name } }) => name === "bytes" || name === "path") ||
  (type === "BYTE_ARRAY" && !converted_type && !logical_type);

/** Reads ranges of a file. It is opened for each read only, because there may be thousands of shards. */
async function fileBuffer(path: string): Promise<AsyncBuffer> {
  const { size } = await stat(path);
  return {
    byteLength: size,
    async slice(start, end = size) {
      if (!(start >= 0 && start <= end && end <= size && end - start <= maxGroupBytes)) {
        throw new Error(`it points to bytes ${start} to ${end} of ${size}`);
      }
      const bytes = new Uint8Array(end - start);
      const file = await open(path);
      try {
        for (let done = 0; done < bytes.length; ) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0) throw new Error("it became shorter while it was read");
          done += bytesRead;
        }
      } finally {
        await file.close();
      }
      return bytes.buffer;
    },
  };
}

function shardBlocks(shard: Shard, columns: ColumnNames, source: string): Block[] {
  const wanted = new Set<string | undefined>(Object.values(columns).flat());
  const blocks: Block[] = [];
  let first = 0;
  for (const group of shard.metadata.row_groups) {
    const count = Number(group.num_rows);
    const chunks = group.columns.filter((chunk) => wanted.has(chunk.meta_data?.path_in_schema[0]));
    const bytes = chunks.reduce((sum, chunk) => sum + Number(chunk.meta_data!.total_uncompressed_size), 0);
    if (!Number.isSafeInteger(count) || count < 0 || bytes > maxGroupBytes) {
      throw new XPromptError(
        `reading Parquet shard ${shard.path}: expected row groups of at most ${maxGroupBytes} bytes, got ${count} rows of ${bytes} bytes (write it again with smaller row groups)`,
      );
    }
    const indexed = chunks.every((chunk) => chunk.offset_index_offset !== undefined);
    const parts = indexed ? clamp(Math.ceil(bytes / partBytes), 1, Math.max(1, count)) : 1;
    for (let i = 0; i < parts; i++) {
      const start = first + Math.floor((i * count) / parts);
      const end = first + Math.floor(((i + 1) * count) / parts);
      if (end === start) continue;
      const part = { shard, start, end };
      blocks.push({
        name: `${shard.name}, rows ${start} to ${end - 1}`,
        rowBytes: bytes / count,
        keys: () => readKeys(part, columns, source),
        rows: () => readRows(part, columns),
      });
    }
    first += count;
  }
  return blocks;
}

/** Keys need the row number alone, or the few small columns of a key. */
async function readKeys(part: Part, columns: ColumnNames, source: string): Promise<(RowKey | Defect)[]> {
  const { id, group, task } = columns;
  const names = [...id, ...group, ...task];
  const rows = names.length > 0 ? await readPart(part, names) : cellsOfNothing(part);
  // Keys assume that all rows have an input, or none. A missing input is found when the row is read.
  const sides = Object.fromEntries([...columns.input, ...columns.output].map((name) => [name, true]));
  return Promise.all(
    rows.map((row) =>
      keyOrDefect(
        row instanceof Defect ? row : { ...row, cells: { ...row.cells, ...sides } },
        columns,
        source,
      ),
    ),
  );
}

function cellsOfNothing({ shard, start, end }: Part): Row[] {
  return Array.from({ length: end - start }, (_, i) => ({ place: `${shard.name}#${start + i}`, cells: {} }));
}

async function readRows(part: Part, columns: ColumnNames): Promise<(Row | Defect)[]> {
  return readPart(part, [...new Set(Object.values(columns).flat())]);
}

/** The rows of a part. If its bytes are broken, all its rows are defects. */
async function readPart({ shard, start, end }: Part, columns: string[]): Promise<(Row | Defect)[]> {
  const { path, name, file, metadata } = shard;
  const doing = `reading Parquet shard ${path}`;
  const place = (i: number) => `${name}#${start + i}`;
  const { compressors, parquetReadObjects } = await parquetReader(doing);
  const settings = {
    ...{ file, metadata, columns },
    ...{ compressors: limited(compressors), utf8: false, useOffsetIndex: true },
  };
  return attempt(doing, path, async () => {
    try {
      const rows = await parquetReadObjects({ ...settings, rowStart: start, rowEnd: end });
      return Array.from({ length: end - start }, (_, i): Row | Defect => {
        const cells = rows[i];
        return cells
          ? { place: place(i), cells, folder: dirname(path) }
          : new Defect("metadata", place(i), "the row is not there");
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall || error instanceof XPromptError) throw error;
      const reason = `its row group is broken: ${messageOf(error)}`;
      return Array.from({ length: end - start }, (_, i) => new Defect("metadata", place(i), reason));
    }
  });
}

/** Decompressors that refuse a page with a declared size above the limit of a row group. */
const limited = (compressors: Compressors): Compressors =>
  Object.fromEntries(
    Object.entries(compressors).map(([codec, decompress]) => [
      codec,
      (input: Uint8Array, length: number) => {
        if (length > maxGroupBytes) throw new Error(`a page claims ${length} bytes`);
        return decompress(input, length);
      },
    ]),
  );

/** Whether a file is a shard. */
export const isParquet = (name: string): boolean => basename(name).endsWith(".parquet");
