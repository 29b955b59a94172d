/**
 * @file Keys and values of tokens already read, for decoding one token after another. Only the new ones come out of a
 * run; they are written into place here, so that nothing already known is copied.
 */
import { type Feeds, float32, floats, int64, type Value } from "../../runtime/session.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { headWidth } from "./transformer.ts";
import type { PictureSpan } from "./whole-pictures.ts";

/**
 * Slots are added this many at a time, or an eighth of those there are: a token's cost follows what is used, not what
 * might be, and what is there moves seldom.
 */
const CHUNK = 32;
const GROWTH = 9 / 8;
/** Added to the score of a key that must not be seen. */
const HIDDEN = -1e9;

/** One layer's keys and values of a stretch of tokens, each `[heads, length, headDim]`. */
export interface LayerBlock {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** Keys and values of a stretch of tokens in all layers. */
export interface CacheBlock {
  readonly length: number;
  readonly heads: number;
  readonly layers: readonly LayerBlock[];
}

export const cacheInput = (kind: "keys" | "values", layer: number): string => `past ${kind} ${layer}`;
export const cacheOutput = (kind: "keys" | "values", layer: number): string => `new ${kind} ${layer}`;

const kinds = ["keys", "values"] as const;

export class KeyValueCache {
  /** Slots in use of each row. */
  readonly lengths: number[];
  private room = CHUNK;
  private readonly heads: number;
  private readonly headDim: number;
  /** By layer and kind: `[rows, heads, room, headDim]`. */
  private readonly buffers: Record<(typeof kinds)[number], Float32Array>[];

  constructor(
    readonly rows: number,
    private readonly config: DecoderConfig,
  ) {
    this.heads = config.keyValueHeads;
    this.headDim = headWidth(config);
    this.lengths = Array(rows).fill(0);
    const size = rows * this.heads * this.room * this.headDim;
    this.buffers = Array.from({ length: config.layers }, () => ({
      keys: new Float32Array(size),
      values: new Float32Array(size),
    }));
  }

  /** Appends tokens that were read elsewhere to one row. */
  append(row: number, { length, layers }: CacheBlock): void {
    this.reserve(this.lengths[row]! + length);
    for (const [layer, block] of layers.entries())
      for (const kind of kinds) this.write(layer, kind, row, block[kind], 0, length);
    this.lengths[row]! += length;
  }

  /** Appends the `time` tokens of the last run to every row. */
  appendRun(results: Readonly<Record<string, Value>>, time: number): void {
    this.reserve(Math.max(...this.lengths) + time);
    for (let layer = 0; layer < this.config.layers; layer++)
      for (const kind of kinds) {
        const made = floats(results[cacheOutput(kind, layer)]!); // [rows, heads, time, headDim]
        const stride = this.heads * time * this.headDim;
        for (let row = 0; row < this.rows; row++) this.write(layer, kind, row, made, row * stride, time);
      }
    for (let row = 0; row < this.rows; row++) this.lengths[row]! += time;
  }

  /** A copy of `length` tokens of a row, from slot `start`. */
  block(row: number, start: number, length: number): CacheBlock {
    const width = this.headDim;
    const copy = (from: Float32Array) => {
      const kept = new Float32Array(this.heads * length * width);
      for (let head = 0; head < this.heads; head++) {
        const slot = (row * this.heads + head) * this.room + start;
        kept.set(from.subarray(slot * width, (slot + length) * width), head * length * width);
      }
      return kept;
    };
    const layers = this.buffers.map(({ keys, values }) => ({ keys: copy(keys), values: copy(values) }));
    return { length, heads: this.heads, layers };
  }

  /**
   * What a run of `time` new tokens per row reads: past keys and values, and which keys each new token sees.
   * @param whole by row, the pictures among the new tokens that are seen both ways
   */
  feeds(time: number, whole: readonly (readonly PictureSpan[])[] = []): Feeds {
    const shape = [this.rows, this.heads, this.room, this.headDim];
    const feeds: Record<string, Value> = {
      visible: this.visible(time, whole),
      lengths: int64([this.room, time], [2]),
    };
    for (const [layer, buffer] of this.buffers.entries())
      for (const kind of kinds) feeds[cacheInput(kind, layer)] = float32(buffer[kind], shape);
    return feeds;
  }

  /** float32 `[rows, 1, time, room + time]`: past slots in use are seen, new tokens see themselves and earlier ones. */
  private visible(time: number, whole: readonly (readonly PictureSpan[])[]): Value {
    const width = this.room + time;
    const bias = new Float32Array(this.rows * time * width);
    for (let row = 0; row < this.rows; row++) {
      for (let t = 0; t < time; t++) {
        const start = (row * time + t) * width;
        bias.fill(HIDDEN, start + this.lengths[row]!, start + this.room);
        bias.fill(HIDDEN, start + this.room + t + 1, start + width);
      }
      for (const { first, last } of whole[row] ?? [])
        for (let t = first; t <= last; t++) {
          const start = (row * time + t) * width + this.room;
          bias.fill(0, start + first, start + last + 1);
        }
    }
    return float32(bias, [this.rows, 1, time, width]);
  }

  /** Makes room for `slots` a row, moving what is there. */
  private reserve(slots: number): void {
    if (slots <= this.room) return;
    const [before, width] = [this.room, this.headDim];
    const room = inChunks(Math.max(slots, before * GROWTH));
    const grown = (buffer: Float32Array) => {
      const larger = new Float32Array(this.rows * this.heads * room * width);
      for (let i = 0; i < this.rows * this.heads; i++)
        larger.set(buffer.subarray(i * before * width, (i + 1) * before * width), i * room * width);
      return larger;
    };
    // One by one: both sizes of the whole cache at once may be too much.
    for (const buffer of this.buffers) for (const kind of kinds) buffer[kind] = grown(buffer[kind]);
    this.room = room;
  }

  private write(
    layer: number,
    kind: (typeof kinds)[number],
    row: number,
    from: Float32Array,
    offset: number,
    count: number,
  ): void {
    const into = this.buffers[layer]![kind];
    const slot = this.lengths[row]!;
    for (let head = 0; head < this.heads; head++) {
      const start = offset + head * count * this.headDim;
      const part = from.subarray(start, start + count * this.headDim);
      into.set(part, ((row * this.heads + head) * this.room + slot) * this.headDim);
    }
  }
}

const inChunks = (slots: number): number => CHUNK * Math.ceil(slots / CHUNK);

/** The most slots that a cache has made by the time it holds so many tokens a row. */
export const roomFor = (tokens: number): number => inChunks(tokens * GROWTH);

/** Bytes that the cache of `slots` tokens takes in each row. */
export const cacheBytes = (config: DecoderConfig, slots: number): number =>
  2 * config.layers * config.keyValueHeads * headWidth(config) * slots * Float32Array.BYTES_PER_ELEMENT;
