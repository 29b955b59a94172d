/** @file What is known of a set before a picture is read: which records take part, and of what task each is. */
import { createHash } from "node:crypto";
import type { OrderedBlock } from "./order.ts";
import { type Block, Defect, type DefectLog } from "./record.ts";
import type { PairsConfig } from "./settings.ts";

/** Which records take part, by number in the set, and what task each is of. */
export interface SetIndex {
  readonly total: number;
  readonly rows: Uint32Array;
  /** Of every block of the set. */
  readonly sizes: readonly { readonly count: number; readonly bytes: number }[];
  /** Blocks with records that take part. */
  readonly blocks: readonly OrderedBlock[];
  readonly tasks: readonly string[];
  readonly perTask: readonly number[];
  taskOf(item: number): number;
  place(row: number): { block: number; row: number };
}

/** Goes through the keys of all blocks; records without one are logged. */
export async function indexOf(
  allBlocks: readonly Block[],
  { heldOut, part }: Pick<PairsConfig, "heldOut" | "part">,
  log: DefectLog,
): Promise<SetIndex> {
  const rows: number[] = [];
  const taskOf: number[] = [];
  const tasks = new Map<string, number>();
  const starts: number[] = [];
  const blocks: OrderedBlock[] = [];
  const sizes: { count: number; bytes: number }[] = [];
  let total = 0;
  for (const block of allBlocks) {
    starts.push(total);
    const first = rows.length;
    const keys = await block.keys();
    const size = { count: keys.length, bytes: block.rowBytes * keys.length };
    sizes.push(size);
    for (const [i, key] of keys.entries()) {
      if (key instanceof Defect) log.add(total + i, key);
      else if (isHeldOut(key.group, heldOut) === (part === "heldOut")) {
        const task = tasks.get(key.task) ?? tasks.size;
        tasks.set(key.task, task);
        rows.push(total + i);
        taskOf.push(task);
      }
    }
    if (rows.length > first) blocks.push({ first, count: rows.length - first, bytes: size.bytes });
    total += size.count;
  }
  const perTask = Array<number>(tasks.size).fill(0);
  for (const task of taskOf) perTask[task]!++;
  const compact = Uint32Array.from(taskOf);
  return {
    total,
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

/** Whether a group is kept out of training: by its name alone, so that it is in every run, whatever else the set has. */
export function isHeldOut(group: string, share: number): boolean {
  if (share === 0) return false;
  return createHash("sha256").update(group).digest().readUIntBE(0, 6) / 2 ** 48 < share;
}
