/** @file Running the transformer with a cache: the one graph that reads prompts and draws tokens. */
import {
  attention,
  concat,
  exportOnnx,
  Graph,
  type Initializer,
  reshape,
  rope,
  rotaryTables,
  type Tensor,
  take,
  transpose,
} from "../graph/index.ts";
import { floats, int64, Session, type SessionOptions } from "../runtime/session.ts";
import { type CacheBlock, cacheInput, cacheOutput, KeyValueCache } from "./cache.ts";
import type { DecoderConfig } from "./config.ts";
import { type Attend, embed, head, headWidth, shareHeads, transformer } from "./transformer.ts";

/** One row's new tokens and their positions. */
export interface Stretch {
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
    return new Decoder(config, await Session.create(exportOnnx(decoding(config), { weights }), options));
  }

  newCache(rows: number): KeyValueCache {
    return new KeyValueCache(rows, this.config);
  }

  /**
   * Reads the next tokens of every row, equally many each, and adds them to the cache.
   * @returns logits of each row's last token, `[rows, vocabulary]`
   */
  async read(rows: readonly Stretch[], cache: KeyValueCache): Promise<Float32Array> {
    const time = rows[0]!.tokens.length;
    const shape = [rows.length, time];
    const results = await this.session.run({
      tokens: int64(
        rows.flatMap((row) => row.tokens),
        shape,
      ),
      positions: int64(
        rows.flatMap((row) => row.positions),
        shape,
      ),
      last: int64([time - 1], [1]),
      ...cache.feeds(time),
    });
    cache.appendRun(results, time);
    return floats(results.logits!);
  }

  /** Reads one sequence from nothing and returns its last `keep` tokens' keys and values. */
  async compress(stretch: Stretch, keep: number): Promise<CacheBlock> {
    const cache = this.newCache(1);
    await this.read([stretch], cache);
    return cache.block(0, stretch.tokens.length - keep, keep);
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** The decoding graph's outputs: logits of the last token, and every layer's new keys and values. */
function decoding(config: DecoderConfig): Record<string, Tensor> {
  const graph = new Graph();
  const w = graph.scope();
  const tokens = graph.input("tokens", "int64", ["rows", "time"]);
  const outputs: Record<string, Tensor> = {};
  const hidden = transformer(w, embed(w, tokens, config), cachedAttention(graph, config, outputs), config);
  const last = take(hidden, graph.input("last", "int64", [1]), 1); // [rows, 1, hidden]
  outputs.logits = reshape(head(w, last, config), ["rows", config.vocabularySize]);
  return outputs;
}

/** Attention to the cache and to the new tokens. Notes the new keys and values under the cache's output names. */
function cachedAttention(graph: Graph, config: DecoderConfig, outputs: Record<string, Tensor>): Attend {
  const headDim = headWidth(config);
  const positions = graph.input("positions", "int64", ["rows", "time"]);
  const visible = graph.input("visible", "float32", ["rows", 1, "time", "past+time"]);
  const tables = rotaryTables(graph, config.maxPositions, headDim, config.ropeTheta);
  const perHead = (x: Tensor) => transpose(x, [0, 2, 1, 3]); // [rows, heads, time, headDim]
  const past = (kind: "keys" | "values", layer: number) =>
    graph.input(cacheInput(kind, layer), "float32", ["rows", config.keyValueHeads, "past", headDim]);
  return (layer, projections) => {
    const keys = rope(perHead(projections.keys), positions, tables);
    const values = perHead(projections.values);
    outputs[cacheOutput("keys", layer)] = keys;
    outputs[cacheOutput("values", layer)] = values;
    const mixed = attention(
      rope(perHead(projections.queries), positions, tables),
      shareHeads(concat([past("keys", layer), keys], 2), config),
      shareHeads(concat([past("values", layer), values], 2), config),
      visible,
    );
    return perHead(mixed);
  };
}
