/**
 * @file The order in which records come: a pure function of the seed, so that a place in it is one number. In each
 * epoch blocks are shuffled; as many as fit in memory make a window, and within a window records are shuffled. A set
 * that fits in memory is one window: shuffled through and through.
 */
import { Random } from "../../random.ts";

/** The records of a block that take part: numbers `first` to `first` + `count` − 1 of those selected. */
export interface OrderedBlock {
  readonly first: number;
  readonly count: number;
  /** Memory that it takes when read, in bytes. */
  readonly bytes: number;
}

/** Records that are shuffled among each other. */
export interface Window {
  /** Tells it from others of the same order. */
  readonly name: string;
  /** Number of selected records, in order. */
  readonly items: readonly number[];
}

export class Order {
  /** Records an epoch. */
  readonly length: number;
  private readonly epochs = new Map<number, readonly EpochWindow[]>();
  private readonly windows = new Map<string, Window>();

  /** `budget`: bytes that the blocks of a window may take together; a single block may take more. */
  constructor(
    private readonly seed: number,
    private readonly blocks: readonly OrderedBlock[],
    private readonly budget: number,
  ) {
    this.length = blocks.reduce((sum, { count }) => sum + count, 0);
  }

  /** Place `n` of the endless order, n = 0, 1, 2, …: its window, and where in it. Every epoch has every record once. */
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
  /** Place of its first record in the epoch. */
  readonly start: number;
  readonly blocks: readonly OrderedBlock[];
}

/** The value under `key`, made when it is not there; the `keep` newest values stay. */
function remember<K, V>(values: Map<K, V>, key: K, keep: number, make: () => V): V {
  const held = values.get(key);
  if (held !== undefined) return held;
  const made = make();
  values.set(key, made);
  if (values.size > keep) values.delete(values.keys().next().value as K);
  return made;
}
