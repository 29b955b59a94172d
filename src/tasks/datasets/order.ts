/**
 * @file The order of records, a pure function of the seed, so that a position in it is one number. In each epoch blocks
 * are shuffled. As many blocks as fit in memory form a window, in which records are shuffled. A set that fits in memory
 * is one window, and is shuffled completely.
 */
import { Random } from "../../random.ts";

/** A block's selected records: numbers `first` to `first` + `count` − 1 among all selected ones. */
export interface OrderedBlock {
  readonly first: number;
  readonly count: number;
  /** Memory of the block after reading, in bytes. */
  readonly bytes: number;
}

/** Records that are shuffled together. */
export interface Window {
  /** Unique within the order. */
  readonly name: string;
  /** Numbers of the selected records, in shuffled order. */
  readonly items: readonly number[];
}

export class Order {
  /** Records per epoch. */
  readonly length: number;
  private readonly epochs = new Map<number, readonly EpochWindow[]>();
  private readonly windows = new Map<string, Window>();

  /** `budget`: the most bytes of a window's blocks; a single block may take more. */
  constructor(
    private readonly seed: number,
    private readonly blocks: readonly OrderedBlock[],
    private readonly budget: number,
  ) {
    this.length = blocks.reduce((sum, { count }) => sum + count, 0);
  }

  /** Position `n` of the endless order, n = 0, 1, 2, …: window and index in it. Every epoch has every record once. */
  at(n: number): { window: Window; index: number } {
    const epoch = Math.floor(n / this.length);
    const place = n % this.length;
    const layout = this.layout(epoch);
    let [low, high] = [0, layout.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (layout[middle]!.start <= place) low = middle;
      else high = middle - 1;
    }
    return { window: this.window(epoch, low, layout[low]!), index: place - layout[low]!.start };
  }

  private layout(epoch: number): readonly EpochWindow[] {
    return remember(this.epochs, epoch, 2, () => {
      const windows: { start: number; blocks: OrderedBlock[]; bytes: number }[] = [];
      let start = 0;
      for (const block of Random.of(this.seed, "blocks", epoch).shuffle(this.blocks)) {
        const last = windows.at(-1);
        if (last && last.bytes + block.bytes <= this.budget) {
          last.blocks.push(block);
          last.bytes += block.bytes;
        } else windows.push({ start, blocks: [block], bytes: block.bytes });
        start += block.count;
      }
      return windows;
    });
  }

  private window(epoch: number, number: number, { blocks }: EpochWindow): Window {
    const name = `${epoch}/${number}`;
    return remember(this.windows, name, 2, () => {
      const items = blocks.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
      return { name, items: Random.of(this.seed, "window", epoch, number).shuffle(items) };
    });
  }
}

interface EpochWindow {
  /** Position of its first record in the epoch. */
  readonly start: number;
  readonly blocks: readonly OrderedBlock[];
}

/** The value under `key`, computed if missing; only the `keep` newest values are kept. */
function remember<K, V>(values: Map<K, V>, key: K, keep: number, make: () => V): V {
  const held = values.get(key);
  if (held !== undefined) return held;
  const made = make();
  values.set(key, made);
  if (values.size > keep) values.delete(values.keys().next().value as K);
  return made;
}
