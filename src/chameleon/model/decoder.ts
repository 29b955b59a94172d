/** @file Runs the transformer with a key-value cache: one graph for prefill and decoding. */

import { XPromptError } from "../../errors.ts";
import {
  attentionToPast,
  dataFolder,
  exportOnnx,
  Graph,
  type Initializer,
  multiplyDims,
  reshape,
  rope,
  rotaryTables,
  ShapeError,
  type Tensor,
  take,
  transpose,
} from "../../graph/index.ts";
import { floats, int64, Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { type CacheBlock, cacheInput, cacheOutput, KeyValueCache } from "./cache.ts";
import { type Attend, embed, head, headWidth, transformer } from "./transformer.ts";
import { type PictureSpan, pictureSpans } from "./whole-pictures.ts";

/** One row's new tokens and their positions. */
export interface TokenSpan {
  readonly tokens: readonly number[];
  readonly positions: readonly number[];
}

export class Decoder {
  private constructor(
    readonly config: DecoderConfig,
    private readonly session: Session,
  ) {}

  static async create(
    config: DecoderConfig,
    weights: ReadonlyMap<string, Initializer>,
    options: SessionOptions = {},
  ): Promise<Decoder> {
    const session = await Session.create(modelOf(config, weights), options, dataFolder(weights.values()));
    return new Decoder(config, session);
  }

  newCache(rows: number): KeyValueCache {
    return new KeyValueCache(rows, this.config);
  }

  /**
   * Processes the next tokens of rows, the same number for each, and adds them to the cache.
   * @param rows null for an inactive row
   * @returns logits of each row's last token, `[rows, vocabulary]`; zeros for inactive rows
   */
  async forward(rows: readonly (TokenSpan | null)[], cache: KeyValueCache): Promise<Float32Array> {
    const { vocabularySize } = this.config;
    const logits = new Float32Array(rows.length * vocabularySize);
    for (const chunk of chunksOf(rows, this.config))
      for (const [row, last] of (await this.run(chunk, cache, "last")).entries())
        logits.set(last, row * vocabularySize);
    return logits;
  }

  /** Processes the next tokens of a cache's only row. @returns logits after each token, `[tokens, vocabulary]` */
  async forwardAll(span: TokenSpan, cache: KeyValueCache): Promise<Float32Array> {
    const logits = new Float32Array(span.tokens.length * this.config.vocabularySize);
    const before = cache.lengths[0]!;
    for (const chunk of chunksOf([span], this.config)) {
      const start = (cache.lengths[0]! - before) * this.config.vocabularySize;
      logits.set((await this.run(chunk, cache, "all"))[0]!, start);
    }
    return logits;
  }

  /**
   * Reads the next tokens of rows, each as many as it has, and adds them to the cache.
   * @param rows null for a row that waits
   * @returns by row the logits after each of its tokens, `[tokens][vocabulary]`
   */
  async forwardEach(
    rows: readonly (TokenSpan | null)[],
    cache: KeyValueCache,
  ): Promise<readonly (readonly Float32Array[])[]> {
    const { vocabularySize } = this.config;
    const logits = await this.run(rows, cache, "all");
    return rows.map((row, i) =>
      (row?.tokens ?? []).map((_, t) => logits[i]!.subarray(t * vocabularySize, (t + 1) * vocabularySize)),
    );
  }

  /** Logits after each token of one sequence that begins at position 0: `[tokens, vocabulary]`. */
  async logits(tokens: readonly number[]): Promise<Float32Array> {
    return this.forwardAll({ tokens, positions: [...tokens.keys()] }, this.newCache(1));
  }

  /** Processes a sequence without past and returns the keys and values of its last `keep` tokens. */
  async encodeExample(span: TokenSpan, keep: number): Promise<CacheBlock> {
    const cache = this.newCache(1);
    await this.forward([span], cache);
    return cache.block(0, span.tokens.length - keep, keep);
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /**
   * Runs the graph for all rows together, or for each row alone if one has many tokens. Many tokens keep the processor
   * busy by themselves; the rows that wait, or have fewer, would be filled up to as many.
   * @returns by row the logits of its last token, or of all its tokens `[tokens, vocabulary]`; nothing for rows that wait
   */
  private async run(
    rows: readonly (TokenSpan | null)[],
    cache: KeyValueCache,
    wanted: "last" | "all",
  ): Promise<readonly Float32Array[]> {
    if (timeOf(rows) < ALONE) return this.runTogether(rows, 0, cache, wanted);
    const logits: Float32Array[] = [];
    for (const [i, row] of rows.entries())
      logits.push(row ? (await this.runTogether([row], i, cache, wanted))[0]! : new Float32Array());
    return logits;
  }

  /**
   * One run of the graph, for the rows of the cache from `first` on. Rows of fewer tokens than others are filled up
   * behind them, where no token sees it.
   * @returns as `run`
   */
  private async runTogether(
    rows: readonly (TokenSpan | null)[],
    first: number,
    cache: KeyValueCache,
    wanted: "last" | "all",
  ): Promise<readonly Float32Array[]> {
    const time = timeOf(rows);
    const counts = rows.map((row) => row?.tokens.length ?? 0);
    const flat = (key: keyof TokenSpan) => {
      const ids = new BigInt64Array(rows.length * time);
      for (const [i, row] of rows.entries())
        for (const [t, id] of (row?.[key] ?? []).entries()) ids[i * time + t] = BigInt(id);
      return int64(ids, [rows.length, time]);
    };
    const wantedOf = (count: number) => (wanted === "last" ? Math.min(count, 1) : count);
    const kept = counts.flatMap((count, i) =>
      Array.from({ length: wantedOf(count) }, (_, t) => i * time + count - wantedOf(count) + t),
    );
    const results = await this.session.run({
      tokens: flat("tokens"),
      positions: flat("positions"),
      kept: int64(kept, [kept.length]),
      ...cache.feeds(
        time,
        rows.map((row) => wholeIn(row?.tokens ?? [], this.config)),
        first,
      ),
    });
    cache.appendRun(results, time, counts, first);
    const logits = floats(results.logits!);
    let end = 0;
    return counts.map((count) => {
      const start = end;
      end += wantedOf(count) * this.config.vocabularySize;
      return logits.subarray(start, end);
    });
  }
}

/** New tokens of the row that has most. */
const timeOf = (rows: readonly (TokenSpan | null)[]): number =>
  Math.max(...rows.map((row) => row?.tokens.length ?? 0));

/** From as many tokens of a row on, rows run alone. */
const ALONE = 64;

/** The most tokens per row in one run; bounds the memory of attention scores. */
export const PREFILL_CHUNK = 256;

/**
 * Splits rows of equal length into consecutive chunks of at most `PREFILL_CHUNK` tokens. A picture with bidirectional
 * attention is never split.
 */
function* chunksOf(
  rows: readonly (TokenSpan | null)[],
  config: DecoderConfig,
): Generator<readonly (TokenSpan | null)[]> {
  const length = timeOf(rows);
  const spans = rows.flatMap((row) => wholeIn(row?.tokens ?? [], config));
  const isInside = (cut: number) => spans.some(({ first, last }) => first < cut && cut <= last);
  for (let from = 0, to: number; from < length; from = to) {
    to = Math.min(from + PREFILL_CHUNK, length);
    while (to > from && isInside(to)) to--;
    if (to === from) for (to = Math.min(from + PREFILL_CHUNK, length); isInside(to); ) to++;
    const part = (ids: readonly number[]) => ids.slice(from, to);
    yield rows.map((row) => row && { tokens: part(row.tokens), positions: part(row.positions) });
  }
}

/** The pictures among tokens that have bidirectional attention. */
const wholeIn = (tokens: readonly number[], { wholePictures }: DecoderConfig): PictureSpan[] =>
  wholePictures ? pictureSpans(tokens, wholePictures) : [];

function modelOf(config: DecoderConfig, weights: ReadonlyMap<string, Initializer>): Uint8Array {
  try {
    return exportOnnx(decoding(config), { weights });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new XPromptError(
      `loading a model: ${error.message} (config.json and the weights belong to different models, or are damaged)`,
    );
  }
}

/** Outputs of the decoding graph: logits of the requested tokens, and every layer's new keys and values. */
function decoding(config: DecoderConfig): Record<string, Tensor> {
  const graph = new Graph();
  const w = graph.scope();
  const tokens = graph.input("tokens", "int64", ["rows", "time"]);
  const outputs: Record<string, Tensor> = {};
  const hidden = transformer(w, embed(w, tokens, config), cachedAttention(graph, config, outputs), config);
  const flat = reshape(hidden, [1, multiplyDims("rows", "time"), config.hiddenSize]);
  outputs.logits = head(w, take(flat, graph.input("kept", "int64", ["kept"]), 1), config); // [1, kept, vocabulary]
  return outputs;
}

/** Attention to the cache and to the new tokens. Adds the new keys and values to `outputs`. */
function cachedAttention(graph: Graph, config: DecoderConfig, outputs: Record<string, Tensor>): Attend {
  const { keyValueHeads, maxPositions } = config;
  const headDim = headWidth(config);
  const positions = graph.input("positions", "int64", ["rows", "time"]);
  const visible = graph.input("visible", "float32", ["rows", 1, "time", "past+time"]);
  const lengths = graph.input("lengths", "int64", [2]);
  const tables = rotaryTables(graph, maxPositions, headDim, config.rope);
  const scaledTables = rotaryTables(graph, maxPositions, headDim, config.rope, 1 / Math.sqrt(headDim));
  const perHead = (x: Tensor) => transpose(x, [0, 2, 1, 3]); // [rows, heads, time, headDim]
  const past = (kind: "keys" | "values", layer: number) =>
    graph.input(cacheInput(kind, layer), "float32", ["rows", keyValueHeads, "past", headDim]);
  return (layer, projections) => {
    const keys = rope(perHead(projections.keys), positions, tables);
    const values = perHead(projections.values);
    outputs[cacheOutput("keys", layer)] = keys;
    outputs[cacheOutput("values", layer)] = values;
    const mixed = attentionToPast(
      rope(perHead(projections.queries), positions, scaledTables),
      { keys: past("keys", layer), values: past("values", layer) },
      { keys, values },
      lengths,
      visible,
    );
    return perHead(mixed);
  };
}
