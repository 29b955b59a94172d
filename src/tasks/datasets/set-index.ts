/** @file The index of a set, made without reading pictures: the records of the configured part, and their tasks. */
import { createHash } from "node:crypto";
import type { OrderedBlock } from "./order.ts";
import { type Block, Defect, type DefectLog } from "./record.ts";
import type { PairsConfig } from "./settings.ts";

/** The record numbers of the part, and the task of each record. */
export interface SetIndex {
  readonly total: number;
  /** SHA-256 of the keys of all records in both parts. */
  readonly keys: string;
  readonly rows: Uint32Array;
  /** Per block of the set. */
  readonly sizes: readonly { readonly count: number; readonly bytes: number }[];
  /** Blocks with records of the part. */
  readonly blocks: readonly OrderedBlock[];
  readonly tasks: readonly string[];
  readonly perTask: readonly number[];
  taskOf(item: number): number;
  place(row: number): { block: number; row: number };
}

/** Reads the keys of all blocks; logs records without a key. */
export async function indexOf(
  allBlocks: readonly Block[],
  { heldOut, part }: Pick<PairsConfig, "heldOut" | "part">,
  log: DefectLog,
): Promise<SetIndex> {
  const keyed = await keyedRecords(allBlocks, log);
  const { starts, sizes, total } = keyed;
  const limit = heldOut === 0 ? 0 : splitAt(keyed, heldOut);
  const rows: number[] = [];
  const taskOf: number[] = [];
  const tasks = new Map<string, number>();
  const blocks: OrderedBlock[] = [];
  let next = 0;
  for (const [block, { count, bytes }] of sizes.entries()) {
    const first = rows.length;
    for (; keyed.rows[next]! < starts[block]! + count; next++) {
      if (keyed.lots[next]! < limit !== (part === "heldOut")) continue;
      const name = keyed.tasks[keyed.taskOf[next]!]!;
      const task = tasks.get(name) ?? tasks.size;
      tasks.set(name, task);
      rows.push(keyed.rows[next]!);
      taskOf.push(task);
    }
    if (rows.length > first) blocks.push({ first, count: rows.length - first, bytes });
  }
  const perTask = Array<number>(tasks.size).fill(0);
  for (const task of taskOf) perTask[task]!++;
  const compact = Uint32Array.from(taskOf);
  return {
    total,
    keys: keyed.keys,
    rows: Uint32Array.from(rows),
    sizes,
    blocks,
    tasks: [...tasks.keys()],
    perTask,
    taskOf: (item) => compact[item]!,
    place(row) {
      let [low, high] = [0, starts.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (starts[middle]! <= row) low = middle;
        else high = middle - 1;
      }
      return { block: low, row: row - starts[low]! };
    },
  };
}

/** All records with a key, of both parts. */
interface Keyed extends Pick<SetIndex, "total" | "keys" | "sizes" | "tasks"> {
  /** The first number of every block. */
  readonly starts: readonly number[];
  /** Per record: number in the set, task, and hash of the group in [0, 1). */
  readonly rows: readonly number[];
  readonly taskOf: readonly number[];
  readonly lots: readonly number[];
}

async function keyedRecords(blocks: readonly Block[], log: DefectLog): Promise<Keyed> {
  const tasks = new Map<string, number>();
  const [starts, rows, taskOf, lots]: number[][] = [[], [], [], []];
  const sizes: { count: number; bytes: number }[] = [];
  const hash = createHash("sha256");
  let total = 0;
  for (const block of blocks) {
    const keys = await block.keys();
    for (const [i, key] of keys.entries()) {
      if (key instanceof Defect) {
        log.add(total + i, key);
        continue;
      }
      hash.update(JSON.stringify([key.id, key.group, key.task]));
      const task = tasks.get(key.task) ?? tasks.size;
      tasks.set(key.task, task);
      rows!.push(total + i);
      taskOf!.push(task);
      lots!.push(lotOf(key.group));
    }
    starts!.push(total);
    sizes.push({ count: keys.length, bytes: block.rowBytes * keys.length });
    total += keys.length;
  }
  return {
    total,
    keys: hash.digest("hex"),
    sizes,
    tasks: [...tasks.keys()],
    starts: starts!,
    rows: rows!,
    taskOf: taskOf!,
    lots: lots!,
  };
}

/** Resolution of the hash values. */
const lotStep = 2 ** -48;

/** The hash of a group name in [0, 1), the same in every run. */
const lotOf = (group: string): number =>
  createHash("sha256").update(group).digest().readUIntBE(0, 6) * lotStep;

/**
 * Records with a hash below this threshold are held out. It is the share; in small sets it is raised until two records
 * of one task are held out, an example and a query. At least two records of that task remain for training.
 */
function splitAt({ tasks, taskOf, lots }: Keyed, share: number): number {
  const byTask: number[][] = tasks.map(() => []);
  for (const [i, task] of taskOf.entries()) byTask[task]!.push(lots[i]!);
  const seconds = byTask
    .map((drawn) => drawn.sort((a, b) => a - b))
    .filter((drawn) => drawn.length >= 4 && drawn[1]! < drawn.at(-2)!)
    .map((drawn) => drawn[1]! + lotStep);
  return seconds.length === 0
    ? share
    : Math.max(
        share,
        seconds.reduce((a, b) => Math.min(a, b)),
      );
}

/** Whether a group is held out at this share. Depends on the name alone, so it is the same in every run. */
export const isHeldOut = (group: string, share: number): boolean => lotOf(group) < share;
