/**
 * @file WebDataset shards: tar files whose members `key.input.png`, `key.output.png`, `key.txt`, `key.json` form a
 * record (https://github.com/webdataset/webdataset). A shard is scanned once for the offsets of its members, without
 * reading pictures; members are read on demand. Nothing is unpacked, so a member's name is never used as a path.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, XPromptError } from "../../errors.ts";
import { loadOptional } from "../../optional.ts";
import { attempt } from "../../runtime/files.ts";
import { type ColumnNames, findColumns, keyOrDefect } from "./columns.ts";
import { type Block, Defect, type Row } from "./record.ts";
import type { Columns } from "./settings.ts";

const maxPictureBytes = 256 * 2 ** 20;
const maxTextBytes = 2 ** 20;

/** A file in a tar, with the offset of its bytes. */
interface Member {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/**
 * The members of a tar file, in order. Contents are skipped: the parser gets zeros in their place.
 * @throws XPromptError for a file that is not a tar, or is truncated
 */
export async function tarMembers(path: string): Promise<Member[]> {
  const doing = `reading shard ${path}`;
  return attempt(doing, path, async () => {
    const file = await open(path);
    try {
      return await scan(file, doing);
    } finally {
      await file.close();
    }
  });
}

const zeros = Buffer.alloc(2 ** 20);

async function scan(file: FileHandle, doing: string): Promise<Member[]> {
  const { size } = await file.stat();
  const members: Member[] = [];
  const { extract } = await loadOptional(doing, "tar-stream@3.2.2", () => import("tar-stream"));
  const parser = extract({ highWaterMark: 1 }); // so that every write reports its completion
  let contentsEnd = 0;
  let failure: Error | undefined;
  parser.on("error", (error) => {
    failure ??= error;
  });
  parser.on("entry", ({ name, type, size: bytes }, stream, next) => {
    const offset = stream.offset + 512;
    contentsEnd = offset + Math.ceil(bytes / 512) * 512;
    if (type === "file" || type === "contiguous-file") members.push({ name, offset, size: bytes });
    stream.resume();
    next();
  });
  const feed = (bytes: Uint8Array) =>
    new Promise<void>((done) => {
      parser.once("drain", done).once("close", done);
      parser.write(bytes);
    }).finally(() => parser.removeAllListeners("drain").removeAllListeners("close"));
  for (let at = 0; at < size && !failure; ) {
    const skipped = Math.min(contentsEnd - at, size - at, zeros.length);
    if (skipped > 0) {
      await feed(zeros.subarray(0, skipped));
      at += skipped;
      continue;
    }
    const bytes = Buffer.alloc(Math.min(2 ** 16, size - at));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
    if (bytesRead === 0) break;
    await feed(bytes.subarray(0, bytesRead));
    at += bytesRead;
  }
  parser.destroy();
  if (failure || members.length === 0 || contentsEnd > size) {
    const got = failure
      ? messageOf(failure)
      : members.length === 0
        ? "no files in it"
        : "one that is cut off";
    throw new XPromptError(
      `${doing}: expected a complete tar file, got: ${got} (unpack .gz first, or download it again)`,
    );
  }
  return members;
}

/** Members of one record. The part of a name after its first dot gives the member's role. */
interface Sample {
  readonly key: string;
  readonly parts: ReadonlyMap<string, Member>;
}

function samplesOf(members: readonly Member[]): Sample[] {
  const samples = new Map<string, Map<string, Member>>();
  for (const member of members) {
    const slash = member.name.lastIndexOf("/") + 1;
    const dot = member.name.indexOf(".", slash);
    if (dot <= slash) continue; // no extension, or a hidden file
    const key = member.name.slice(0, dot).replace(/^\.\//, "");
    const parts = samples.get(key) ?? new Map<string, Member>();
    const part = member.name.slice(dot + 1);
    if (!parts.has(part)) parts.set(part, member);
    samples.set(key, parts);
  }
  return [...samples].map(([key, parts]) => ({ key, parts }));
}

/**
 * The shards, each a block, and the meaning of their columns: members by their extension, `input` for `input.png`, and
 * the keys of `json`. The columns are taken from the first samples of the first shard.
 */
export async function tarBlocks(
  root: string,
  names: readonly string[],
  chosen: Columns,
  source: string,
): Promise<{ blocks: Block[]; columns: ColumnNames }> {
  const blocks: Block[] = [];
  const firstPath = join(root, names[0]!);
  const first = samplesOf(await tarMembers(firstPath));
  const there = await columnNames(firstPath, first);
  const columns = findColumns(there, chosen, `reading shard ${firstPath}`);
  const inJson = [columns.id, columns.group, columns.task].flat().some((column) => there.includes(column));
  for (const name of names) {
    const path = join(root, name);
    const shard = name.replace(/\.tar$/, "");
    // Scanned for the keys, and again when the shard is read: all members of a large set would not fit in memory. The
    // first shard is kept, because it was scanned for its columns.
    const samples = async () => (path === firstPath ? first : samplesOf(await tarMembers(path)));
    const rows = async () => (await samples()).map((sample) => rowOf(path, shard, sample));
    blocks.push({
      name,
      rowBytes: 1000,
      keys: async () => {
        const all = inJson ? await withJson(await rows()) : await rows();
        return Promise.all(all.map((row) => keyOrDefect(row, columns, source)));
      },
      rows: async () => withJson(await rows()),
    });
  }
  return { blocks, columns };
}

const pictureEnding = /^(?:(.*)\.)?(png|jpe?g|webp|tiff?)$/i;

async function columnNames(path: string, samples: readonly Sample[]): Promise<string[]> {
  const names = new Set<string>();
  for (const row of await withJson(samples.slice(0, 16).map((sample) => rowOf(path, "", sample)))) {
    if (!(row instanceof Defect)) for (const name of Object.keys(row.cells)) names.add(name);
  }
  names.delete("json");
  return [...names];
}

/** Cells read their bytes on demand. */
function rowOf(path: string, shard: string, { key, parts }: Sample): Row {
  const place = `${shard}/${key}`;
  const cells: Record<string, unknown> = {};
  for (const [part, member] of parts) {
    const picture = pictureEnding.exec(part);
    const name = picture?.[1] ?? part;
    const limit = picture ? maxPictureBytes : maxTextBytes;
    const bytes = () => readMember(path, member, limit, place);
    cells[name] = picture ? bytes : async () => (await bytes()).toString("utf8");
  }
  return { place, cells };
}

/** The rows with the keys of their JSON as cells. Sequential, because each opens a file. */
async function withJson(rows: readonly Row[]): Promise<(Row | Defect)[]> {
  const done: (Row | Defect)[] = [];
  for (const row of rows) done.push(await rowWithJson(row));
  return done;
}

/** The row with the keys of its JSON as cells; members take precedence. */
async function rowWithJson(row: Row): Promise<Row | Defect> {
  const { json, ...rest } = row.cells;
  if (typeof json !== "function") return row;
  try {
    const value: unknown = JSON.parse(await json());
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { ...row, cells: { ...value, ...rest } };
    }
    return new Defect("metadata", row.place, "expected an object in json, got another JSON value");
  } catch (error) {
    if (error instanceof Defect) return error;
    if (!(error instanceof SyntaxError)) throw error;
    return new Defect("metadata", row.place, `expected JSON, got: ${messageOf(error).slice(0, 200)}`);
  }
}

async function readMember(
  path: string,
  { offset, size }: Member,
  limit: number,
  place: string,
): Promise<Buffer> {
  if (size > limit) throw new Defect("type", place, `expected at most ${limit} bytes, got ${size}`);
  return attempt(`reading shard ${path}`, path, async () => {
    const file = await open(path);
    try {
      const bytes = Buffer.alloc(size);
      const { bytesRead } = await file.read(bytes, 0, size, offset);
      if (bytesRead < size) throw new Defect("missing", place, "the shard became shorter while it was read");
      return bytes;
    } finally {
      await file.close();
    }
  });
}

/** Whether a file is a shard. */
export const isTar = (name: string): boolean => name.endsWith(".tar");
