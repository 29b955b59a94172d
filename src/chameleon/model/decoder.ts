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
   * @returns logits of each row's last token, `[rows, vocabulary]`; undefined values for inactive rows
   */
  async forward(rows: readonly (TokenSpan | null)[], cache: KeyValueCache): Promise<Float32Array> {
    let logits: Float32Array = new Float32Array();
    for (const chunk of chunksOf(rows, this.config)) logits = await this.run(chunk, cache, "last");
    return logits;
  }

  /** Processes the next tokens of a cache's only row. @returns logits after each token, `[tokens, vocabulary]` */
  async forwardAll(span: TokenSpan, cache: KeyValueCache): Promise<Float32Array> {
    const logits = new Float32Array(span.tokens.length * this.config.vocabularySize);
    const before = cache.lengths[0]!;
    for (const chunk of chunksOf([span], this.config)) {
      const start = (cache.lengths[0]! - before) * this.config.vocabularySize;
      logits.set(await this.run(chunk, cache, "all"), start);
    }
    return logits;
  }

  /**
   * Reads the next tokens of rows in one run, each as many as it has, and adds them to the cache.
   * @param rows null for a row that waits
   * @returns by row the logits after each of its tokens, `[tokens][vocabulary]`
   */
  async forwardEach(
    rows: readonly (TokenSpan | null)[],
    cache: KeyValueCache,
  ): Promise<readonly (readonly Float32Array[])[]> {
    const { vocabularySize } = this.config;
    const logits = await this.run(rows, cache, "all");
    let next = 0;
    const logitsOf = () => logits.subarray(next++ * vocabularySize, next * vocabularySize);
    return rows.map((row) => (row?.tokens ?? []).map(logitsOf));
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
   * One run of the graph. Rows of fewer tokens than others are filled up behind them, where no token sees it.
   * @returns logits of each row's last token, `[rows, vocabulary]`, or of all tokens of the rows that do not wait, row by
   *   row `[tokens, vocabulary]`
   */
  private async run(
    rows: readonly (TokenSpan | null)[],
    cache: KeyValueCache,
    wanted: "last" | "all",
  ): Promise<Float32Array> {
    const time = timeOf(rows);
    const counts = rows.map((row) => row?.tokens.length ?? 0);
    const flat = (key: keyof TokenSpan) => {
      const ids = new BigInt64Array(rows.length * time);
      for (const [i, row] of rows.entries())
        for (const [t, id] of (row?.[key] ?? []).entries()) ids[i * time + t] = BigInt(id);
      return int64(ids, [rows.length, time]);
    };
    const kept = counts.flatMap((count, i) =>
      wanted === "last"
        ? [i * time + Math.max(count, 1) - 1]
        : Array.from({ length: count }, (_, t) => i * time + t),
    );
    const results = await this.session.run({
      tokens: flat("tokens"),
      positions: flat("positions"),
      kept: int64(kept, [kept.length]),
      ...cache.feeds(
        time,
        rows.map((row) => wholeIn(row?.tokens ?? [], this.config)),
      ),
    });
    cache.appendRun(results, time, counts);
    return floats(results.logits!);
  }
}

/** New tokens of the row that has most. */
const timeOf = (rows: readonly (TokenSpan | null)[]): number =>
  Math.max(...rows.map((row) => row?.tokens.length ?? 0));

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
