/**
 * @file The key-value cache. A forward pass returns only the keys and values of new tokens; they are written in place,
 * so that earlier ones are not copied. Rows are added and removed between passes.
 */
import { type Feeds, float32, floats, int64, type Value } from "../../runtime/session.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { HIDDEN, headWidth } from "./transformer.ts";
import type { PictureSpan } from "./whole-pictures.ts";

/**
 * The cache grows by this many slots, or by an eighth: the cost of a token depends on the slots in use, and existing
 * slots are rarely moved.
 */
const CHUNK = 32;
const GROWTH = 9 / 8;

/** Keys and values of a span of tokens in one layer, each `[heads, length, headDim]`. */
export interface LayerBlock {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** Keys and values of a span of tokens in all layers. */
export interface CacheBlock {
  readonly length: number;
  readonly heads: number;
  readonly layers: readonly LayerBlock[];
}

export const cacheInput = (kind: "keys" | "values", layer: number): string => `past ${kind} ${layer}`;
export const cacheOutput = (kind: "keys" | "values", layer: number): string => `new ${kind} ${layer}`;

const kinds = ["keys", "values"] as const;

export class KeyValueCache {
  /** Slots in use per row. */
  readonly lengths: number[];
  private readonly heads: number;
  private readonly headDim: number;
  /** Rows for which the buffers have room. */
  private capacity: number;
  private slots = CHUNK;
  /** By layer and kind: `[capacity, heads, slots, headDim]`. */
  private readonly buffers: Record<(typeof kinds)[number], Float32Array>[];

  constructor(
    rows: number,
    private readonly config: DecoderConfig,
  ) {
    this.heads = config.keyValueHeads;
    this.headDim = headWidth(config);
    this.lengths = Array(rows).fill(0);
    this.capacity = rows;
    const size = rows * this.rowSize;
    this.buffers = Array.from({ length: config.layers }, () => ({
      keys: new Float32Array(size),
      values: new Float32Array(size),
    }));
  }

  get rows(): number {
    return this.lengths.length;
  }

  /** Adds copies of rows of another cache of the same model, in the order of `rows`. */
  addRows(from: KeyValueCache, rows: readonly number[]): void {
    const slots = Math.max(...rows.map((row) => from.lengths[row]!));
    this.reserve(slots, this.rows + rows.length);
    for (const row of rows) {
      const to = this.lengths.push(from.lengths[row]!) - 1;
      for (const [layer, buffer] of this.buffers.entries())
        for (const kind of kinds) {
          // Old values in the slots may not be finite, which would affect the result even with weight 0.
          buffer[kind].fill(0, to * this.rowSize, (to + 1) * this.rowSize);
          from.copyRow(layer, kind, row, buffer[kind], to * this.rowSize, this.slots);
        }
    }
  }

  /** Removes a row. The last row takes its place. */
  removeRow(row: number): void {
    const last = this.rows - 1;
    if (row !== last)
      for (const buffer of this.buffers)
        for (const kind of kinds)
          buffer[kind].copyWithin(row * this.rowSize, last * this.rowSize, (last + 1) * this.rowSize);
    this.lengths[row] = this.lengths[last]!;
    this.lengths.pop();
  }

  /** Gives up room that no row needs: masked slots cost as much as others. Call it after rows were removed. */
  shrink(): void {
    const slots = inChunks(Math.max(1, ...this.lengths));
    if (2 * slots <= this.slots) this.resize(this.rows, slots);
    else if (2 * this.rows <= this.capacity) this.resize(this.rows, this.slots);
  }

  /** Appends keys and values of tokens from elsewhere to one row. */
  append(row: number, { length, layers }: CacheBlock): void {
    this.reserve(this.lengths[row]! + length);
    for (const [layer, block] of layers.entries())
      for (const kind of kinds)
        this.write(layer, kind, row, block[kind], { offset: 0, time: length, count: length });
    this.lengths[row]! += length;
  }

  /**
   * Appends the tokens of the last run to its rows.
   * @param time tokens of each row in the run
   * @param counts by row of the run, how many of them count: the first ones
   * @param first the run's first row
   */
  appendRun(
    results: Readonly<Record<string, Value>>,
    time: number,
    counts: readonly number[],
    first = 0,
  ): void {
    this.reserve(Math.max(...counts.map((count, row) => this.lengths[first + row]! + count)));
    const stride = this.heads * time * this.headDim;
    for (let layer = 0; layer < this.config.layers; layer++)
      for (const kind of kinds) {
        const made = floats(results[cacheOutput(kind, layer)]!); // [rows, heads, time, headDim]
        for (const [row, count] of counts.entries())
          if (count > 0) this.write(layer, kind, first + row, made, { offset: row * stride, time, count });
      }
    for (const [row, count] of counts.entries()) this.lengths[first + row]! += count;
  }

  /** Forgets the last tokens of a row. */
  rewind(row: number, count: number): void {
    this.lengths[row]! -= count;
  }

  /** A copy of `length` tokens of a row, from slot `start`. */
  block(row: number, start: number, length: number): CacheBlock {
    const width = this.headDim;
    const copy = (from: Float32Array) => {
      const kept = new Float32Array(this.heads * length * width);
      for (let head = 0; head < this.heads; head++) {
        const slot = (row * this.heads + head) * this.slots + start;
        kept.set(from.subarray(slot * width, (slot + length) * width), head * length * width);
      }
      return kept;
    };
    const layers = this.buffers.map(({ keys, values }) => ({ keys: copy(keys), values: copy(values) }));
    return { length, heads: this.heads, layers };
  }

  /**
   * The inputs of a forward pass with `time` new tokens per row: past keys and values, and the attention mask.
   * @param whole per row of the run, the pictures among the new tokens that have bidirectional attention
   * @param first the run's first row
   */
  feeds(time: number, whole: readonly (readonly PictureSpan[])[], first = 0): Feeds {
    const shape = [whole.length, this.heads, this.slots, this.headDim];
    const [start, end] = [first * this.rowSize, (first + whole.length) * this.rowSize];
    const feeds: Record<string, Value> = {
      visible: this.visible(time, whole, first),
      lengths: int64([this.slots, time], [2]),
    };
    for (const [layer, buffer] of this.buffers.entries())
      for (const kind of kinds)
        feeds[cacheInput(kind, layer)] = float32(buffer[kind].subarray(start, end), shape);
    return feeds;
  }

  /** Numbers per row of a buffer. */
  private get rowSize(): number {
    return this.heads * this.slots * this.headDim;
  }

  /** float32 `[rows, 1, time, slots + time]`: new tokens see the slots in use, themselves and earlier new tokens. */
  private visible(time: number, whole: readonly (readonly PictureSpan[])[], firstRow: number): Value {
    const width = this.slots + time;
    const bias = new Float32Array(whole.length * time * width);
    for (const [row, pictures] of whole.entries()) {
      for (let t = 0; t < time; t++) {
        const start = (row * time + t) * width;
        bias.fill(HIDDEN, start + this.lengths[firstRow + row]!, start + this.slots);
        bias.fill(HIDDEN, start + this.slots + t + 1, start + width);
      }
      for (const { first, last } of pictures)
        for (let t = first; t <= last; t++) {
          const start = (row * time + t) * width + this.slots;
          bias.fill(0, start + first, start + last + 1);
        }
    }
    return float32(bias, [whole.length, 1, time, width]);
  }

  /** Makes room for `slots` per row and `rows` rows; moves existing values. */
  private reserve(slots: number, rows = this.capacity): void {
    const grown = slots <= this.slots ? this.slots : inChunks(Math.max(slots, this.slots * GROWTH));
    if (grown > this.slots || rows > this.capacity) this.resize(Math.max(rows, this.capacity), grown);
  }

  /** Moves the rows into buffers of other sizes. Changes nothing if there is no memory for them. */
  private resize(rows: number, slots: number): void {
    const size = this.heads * slots * this.headDim;
    // All are allocated before one is used. They take memory only when they are written, and each old buffer is free by
    // then: the whole cache is never in memory in both sizes.
    const resized = this.buffers.map(() => ({
      keys: new Float32Array(rows * size),
      values: new Float32Array(rows * size),
    }));
    for (const [layer, buffer] of this.buffers.entries())
      for (const kind of kinds) {
        const into = resized[layer]![kind];
        for (let row = 0; row < this.rows; row++) this.copyRow(layer, kind, row, into, row * size, slots);
        buffer[kind] = into;
      }
    this.slots = slots;
    this.capacity = rows;
  }

  /** Copies a row's slots in use to a buffer with `slots` slots per row. */
  private copyRow(
    layer: number,
    kind: (typeof kinds)[number],
    row: number,
    into: Float32Array,
    offset: number,
    slots: number,
  ): void {
    const from = this.buffers[layer]![kind];
    const count = this.lengths[row]! * this.headDim;
    for (let head = 0; head < this.heads; head++) {
      const start = (row * this.heads + head) * this.slots * this.headDim;
      into.set(from.subarray(start, start + count), offset + head * slots * this.headDim);
    }
  }

  /** Writes the first `count` of `time` tokens per head behind a row's slots in use. */
  private write(
    layer: number,
    kind: (typeof kinds)[number],
    row: number,
    from: Float32Array,
    { offset, time, count }: { readonly offset: number; readonly time: number; readonly count: number },
  ): void {
    const into = this.buffers[layer]![kind];
    const slot = this.lengths[row]!;
    const size = count * this.headDim;
    for (let head = 0; head < this.heads; head++) {
      const start = offset + head * time * this.headDim;
      const to = ((row * this.heads + head) * this.slots + slot) * this.headDim;
      // For a single token this loop is faster than a subarray.
      if (count === 1) for (let i = 0; i < size; i++) into[to + i] = from[start + i]!;
      else into.set(from.subarray(start, start + size), to);
    }
  }
}

/** Slots that blocks take in a cache. */
export const slotsOf = (blocks: readonly Pick<CacheBlock, "length">[]): number =>
  blocks.reduce((sum, { length }) => sum + length, 0);

const inChunks = (slots: number): number => CHUNK * Math.ceil(slots / CHUNK);

/** The most slots that a cache has allocated by the time it holds this many tokens per row. */
export const roomFor = (tokens: number): number => inChunks(tokens * GROWTH);

/** Bytes per row of a cache with `slots` slots. */
export const cacheBytes = (config: DecoderConfig, slots: number): number =>
  2 * config.layers * config.keyValueHeads * headWidth(config) * slots * Float32Array.BYTES_PER_ELEMENT;
