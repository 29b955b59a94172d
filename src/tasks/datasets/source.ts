/**
 * @file A data set for training: records in an endless order that is a pure function of the settings. A position gives
 * the same record in every worker, whatever the number of workers.
 */
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { Random } from "../../random.ts";
import { type Answer, captionsById } from "../captioner/answers.ts";
import { type ColumnNames, orDefect, recordOf, type SetWords, textToImage } from "./columns.ts";
import { decodePair } from "./decode.ts";
import { Order, type Window } from "./order.ts";
import {
  type Block,
  Defect,
  DefectLog,
  type DefectReport,
  type LoadedPair,
  type PairRecord,
  type Row,
  type Skipped,
} from "./record.ts";
import { type Paint, paintOf, type Render } from "./render.ts";
import { indexOf, type SetIndex } from "./set-index.ts";
import type { PairsConfig } from "./settings.ts";
import { Shelf } from "./shelf.ts";
import { PairStream, type Position } from "./stream.ts";

export interface StreamOptions {
  /** Edge length of the pictures in pixels. */
  readonly size: number;
  /** Where to start. Defaults to the beginning. */
  readonly from?: Position;
  /** Worker `index` of `count`: it takes every `count`-th position. */
  readonly worker?: { readonly index: number; readonly count: number };
  /** Passes over the set. Defaults to no end. */
  readonly epochs?: number;
}

export interface ContextShape {
  readonly examples: number;
  readonly todos: number;
  /** Edge length of the pictures in pixels. */
  readonly size: number;
  /**
   * Pairs of the order from one context to the next. Contexts of several shapes that share one go through the set together,
   * so that large sets are read in order. Defaults to `examples` and `todos` together.
   */
  readonly stride?: number;
}

/** Pairs of one task: the examples, and the queries with their targets. */
export interface PairContext {
  readonly task: string;
  /** Empty for text to image. */
  readonly examples: readonly LoadedPair[];
  /** Disjoint from the examples. */
  readonly todos: readonly LoadedPair[];
}

/** A set before its records are read. */
export interface OpenedSet {
  readonly format: Exclude<PairsConfig["format"], "auto">;
  readonly blocks: readonly Block[];
  readonly columns: ColumnNames;
  readonly words: SetWords;
  readonly render?: Render;
}

export class PairSource {
  /** Number of records of the configured part, including those with broken pictures. */
  readonly length: number;
  readonly format: OpenedSet["format"];
  readonly name: string;
  /**
   * Identifies the set: its records by their keys, their order, and the settings and captions that give them texts
   * and colours. Pictures, and texts in the set itself, are not included.
   */
  readonly digest: string;
  private readonly order: Order;
  private readonly shelf: Shelf<readonly (Row | Defect)[]>;
  private readonly buckets = new Map<string, Buckets>();
  private readonly fixedPaint: Paint | undefined;

  private constructor(
    private readonly set: OpenedSet,
    private readonly config: PairsConfig,
    private readonly index: SetIndex,
    private readonly log: DefectLog,
    private readonly captions: ReadonlyMap<string, Answer>,
  ) {
    const budget = config.memory * 2 ** 20;
    this.length = index.rows.length;
    this.format = set.format;
    this.name = set.words.source;
    this.order = new Order(config.seed, index.blocks, budget);
    this.shelf = new Shelf(budget);
    this.fixedPaint = set.render && paintOf(set.render);
    const { seed, heldOut, part, memory } = config;
    const blocks = set.blocks.map(({ name }, i) => [name, index.sizes[i]!.count]);
    const { instruction, columns, colors } = config;
    const looks = { instruction, columns, colors, captions: sha256(JSON.stringify([...captions])) };
    const told = [this.name, seed, heldOut, part, memory, this.length, index.keys, blocks, looks];
    this.digest = sha256(JSON.stringify(told)).slice(0, 16);
  }

  /** @throws XPromptError if no record of the configured part is usable */
  static async open(
    set: OpenedSet,
    config: PairsConfig,
    onSkip?: (skipped: Skipped) => void,
  ): Promise<PairSource> {
    const log = new DefectLog((row, why) => onSkip?.({ set: config.path, row, why }));
    const index = await indexOf(set.blocks, config, log);
    const captions = config.captions === undefined ? new Map() : await captionsById(config.captions);
    const source = new PairSource(set, config, index, log, captions);
    if (source.length === 0) throw source.nothing(index.total);
    return source;
  }

  /** The number of records of each task. */
  get tasks(): ReadonlyMap<string, number> {
    return new Map(this.index.tasks.map((task, i) => [task, this.index.perTask[i]!]));
  }

  /** The records skipped so far, with reasons. */
  get defects(): DefectReport {
    return this.log.report();
  }

  /** Every record once, with encoded pictures, in file order. Omits broken records, but does not check pictures. */
  async *records(): AsyncGenerator<PairRecord> {
    for (let item = 0; item < this.length; item++) {
      const record = await this.recordAt(item);
      if (record) yield record;
    }
  }

  /**
   * Every record once, decoded, in file order. Omits broken records.
   * @throws XPromptError if all records are broken
   */
  async *decoded(size: number): AsyncGenerator<LoadedPair> {
    const ahead = 4;
    let whole = 0;
    for (let item = 0; item < this.length; item += ahead) {
      const items = Array.from({ length: Math.min(ahead, this.length - item) }, (_, i) => item + i);
      const pairs = await Promise.all(items.map((each) => this.load(each, size, this.fixedPaint)));
      for (const pair of pairs) {
        if (!pair) continue;
        whole++;
        yield pair;
      }
    }
    if (whole === 0) throw this.nothing(this.length);
  }

  /**
   * Records in their order, decoded. Broken ones are skipped and counted.
   * @throws XPromptError for a position of another set or other workers, or if all records are broken
   */
  stream(options: StreamOptions): PairStream {
    const { from, worker = { index: 0, count: 1 } } = options;
    if (from && (from.set !== this.digest || from.next % worker.count !== worker.index)) {
      throw new XPromptError(
        `resuming data set ${this.config.path}: expected a position of this set, its settings and worker, got one of others (start again, or restore them)`,
      );
    }
    const end = (options.epochs ?? Infinity) * this.length;
    const read = (place: number) => this.readPlace(place, options.size);
    const isHopeless = () => this.index.rows.every((row) => this.log.has(row));
    const fail = () => this.nothing(this.length);
    return new PairStream(
      { set: this.digest, next: from?.next ?? worker.index },
      { step: worker.count, end, length: this.length, read, isHopeless, fail },
    );
  }

  /**
   * Context number `n`, n = 0, 1, 2, …: pairs of one task, a pure function of the settings and `n`. Contexts
   * begin at one pair of the set after another, and are filled with the next ones of its task. A broken pair, or a record without an
   * input among pairs, is replaced by another record of its task. If a task has too few pairs, pairs repeat, but never
   * as both example and query.
   * @throws XPromptError if no task has two usable pairs (one, for a request without examples)
   */
  async context(
    n: number,
    { examples, todos, size, stride = examples + todos }: ContextShape,
  ): Promise<PairContext> {
    const paint = this.paint("context", n);
    const start = n * stride;
    const epochStart = start - (start % this.length);
    const exhausted = new Set<number>();
    for (let tried = 0; tried < this.length; tried++) {
      const { window, index } = this.order.at(epochStart + ((start + tried) % this.length));
      const anchor = window.items[index]!;
      const task = this.index.taskOf(anchor);
      const shown = this.index.tasks[task] === textToImage ? 0 : examples;
      const least = shown > 0 ? 2 : 1;
      if (this.index.perTask[task]! < least || exhausted.has(task)) continue;
      const pairs: LoadedPair[] = [];
      for (const item of this.peers(window, index)) {
        if (pairs.length === shown + todos) break;
        const pair = await this.loadPeer(item, size, paint);
        if (pair) pairs.push(pair);
      }
      if (pairs.length < least) {
        exhausted.add(task);
        continue;
      }
      const split = Math.min(shown, pairs.length - 1);
      const [left, right] = [pairs.slice(0, split), pairs.slice(split)];
      const fill = (side: LoadedPair[], count: number) =>
        Array.from({ length: count }, (_, i) => side[i % side.length]!);
      return { task: this.index.tasks[task]!, examples: fill(left, shown), todos: fill(right, todos) };
    }
    throw this.nothing(this.length, "two usable pairs of one task");
  }

  /** The item at an index of a window, then other items of its task: from the rest of the window, then from the set. */
  private *peers(window: Window, index: number): Generator<number> {
    const { items, ranks } = this.bucketsOf(window);
    const task = this.index.taskOf(window.items[index]!);
    const bucket = items[task]!;
    const rank = ranks[index]!;
    for (let i = 0; i < bucket.length; i++) yield bucket[(rank + i) % bucket.length]!;
    if (bucket.length === this.index.perTask[task]) return;
    const inWindow = new Set(bucket);
    // From a place that depends on the first, so that no pairs are preferred.
    const start = window.items[index]! + 1;
    for (let i = 0; i < this.length; i++) {
      const item = (start + i) % this.length;
      if (this.index.taskOf(item) === task && !inWindow.has(item)) yield item;
    }
  }

  private bucketsOf(window: Window): Buckets {
    const held = this.buckets.get(window.name);
    if (held) return held;
    const items: number[][] = this.index.tasks.map(() => []);
    const ranks = window.items.map((item) => items[this.index.taskOf(item)]!.push(item) - 1);
    const made = { items, ranks };
    this.buckets.clear();
    this.buckets.set(window.name, made);
    return made;
  }

  private async readPlace(place: number, size: number): Promise<LoadedPair | undefined> {
    const { window, index } = this.order.at(place);
    return this.load(window.items[index]!, size, this.paint("stream", place));
  }

  private paint(use: string, n: number): Paint | undefined {
    const { render } = this.set;
    if (!render || this.config.colors === "fixed") return this.fixedPaint;
    return paintOf(render, Random.of(this.config.seed, "colors", use, n));
  }

  /** A decoded record, or undefined if it is broken. */
  private async load(item: number, size: number, paint: Paint | undefined): Promise<LoadedPair | undefined> {
    return this.whole(item, async (row) => decodePair(await this.recordOf(row), size, paint));
  }

  /** The same for a context: in a task of pairs, a record without an input counts as broken. */
  private async loadPeer(
    item: number,
    size: number,
    paint: Paint | undefined,
  ): Promise<LoadedPair | undefined> {
    const isCaptioned = this.index.tasks[this.index.taskOf(item)] === textToImage;
    return this.whole(item, async (row) => {
      const record = await this.recordOf(row);
      if (record.input || isCaptioned) return decodePair(record, size, paint);
      throw new Defect("missing", row.place, "it has no input picture, as the others of its task have");
    });
  }

  private recordAt(item: number): Promise<PairRecord | undefined> {
    return this.whole(item, (row) => this.recordOf(row));
  }

  private async recordOf(row: Row): Promise<PairRecord> {
    const record = await recordOf(row, this.set.columns, this.set.words);
    const caption = this.captions.get(record.id);
    if (!caption || !record.input) return record;
    const said = Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
    return { ...caption, ...said } as PairRecord;
  }

  /** The result of `make`. A defect is counted, and its record is not tried again. */
  private async whole<T>(item: number, make: (row: Row) => Promise<T>): Promise<T | undefined> {
    const number = this.index.rows[item]!;
    if (this.log.has(number)) return undefined;
    const { block, row } = this.index.place(number);
    const { bytes } = this.index.sizes[block]!;
    const found = (await this.shelf.get(block, bytes, this.set.blocks[block]!.rows))[row];
    const made = found instanceof Defect ? found : await orDefect(() => make(found!));
    if (!(made instanceof Defect)) return made;
    this.log.add(number, made);
    return undefined;
  }

  private nothing(total: number, wanted = "a usable record"): XPromptError {
    const { path, heldOut, part } = this.config;
    const { total: broken, first } = this.log.report();
    if (heldOut > 0 && this.length === 0 && broken === 0 && total > 0)
      return new XPromptError(
        `reading data set ${path}: expected enough pairs to hold some out, got ${total}, none of them in the part ${part} (add pairs, or change heldOut: mix.pairsHeldOut of a recipe; 0 holds none out)`,
      );
    const [where, remedy] =
      heldOut > 0
        ? [
            ` in the part ${part}`,
            "check the files, add pairs, or change heldOut: mix.pairsHeldOut of a recipe",
          ]
        : ["", "check the files and settings"];
    const why = broken > 0 ? `; the first: ${first[0]}` : "";
    return new XPromptError(
      `reading data set ${path}: expected ${wanted}, got none of ${total}${where}, ${broken} broken${why} (${remedy})`,
    );
  }
}

interface Buckets {
  /** By task: its items, in the window's order. */
  readonly items: readonly (readonly number[])[];
  /** Per position in the window: the item's rank among those of its task. */
  readonly ranks: readonly number[];
}
