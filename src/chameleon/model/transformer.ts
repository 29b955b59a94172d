/**
 * @file The Chameleon decoder (https://arxiv.org/abs/2405.09818): a Llama-like transformer over text and image tokens,
 * with layer normalization of queries and keys per head. Weights have Hugging Face's names.
 *
 * The transformer does not know how rows form sequences. The `Attend` function defines that: one causal sequence, a
 * key-value cache, or packed examples and TODO parts.
 */
import {
  add,
  cast,
  concat,
  embedding,
  layerNorm,
  linear,
  multiply,
  type Quantization,
  quantizedLinear,
  quantizedShapes,
  repeat,
  reshape,
  rmsNorm,
  type Scope,
  silu,
  split,
  type Tensor,
} from "../../graph/index.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { addLowRank, embedOwn, headOwn } from "./lora.ts";
import { withShared } from "./shared-rows.ts";

/** Queries, keys and values of all rows: `[…rows, heads, headDim]`, keys and values with `keyValueHeads` heads. */
export interface Projections {
  readonly queries: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** Applies rotary embeddings and attention: → `[…rows, heads, headDim]`. */
export type Attend = (layer: number, projections: Projections) => Tensor;

/** How a transformer computes its rows; the results are the same but for rounding. */
export interface RowOptions {
  /** Selects the rows of which the result is needed: the last layer's second half is computed for these alone. */
  readonly select?: (x: Tensor) => Tensor;
  /**
   * Whether layers over the same rows are one product with stacked weights. Fewer products are faster with few rows;
   * with many rows it costs more to take the result apart. Defaults to true.
   */
  readonly stacked?: boolean;
}

/** ε of the normalization of queries and keys; it is missing in the published configuration. */
const HEAD_NORM_EPSILON = 1e-5;

/** Added to the attention score of a masked key. */
export const HIDDEN = -1e9;

/** Width of one attention head. */
export const headWidth = (config: DecoderConfig): number => config.hiddenSize / config.heads;

/** Repeats keys or values `[rows, keyValueHeads, length, headDim]` for the query heads that share them. */
export function shareHeads(x: Tensor, { heads, keyValueHeads }: DecoderConfig): Tensor {
  const [rows, , length, headDim] = x.shape;
  if (heads === keyValueHeads) return x;
  return reshape(repeat(x, 2, heads / keyValueHeads), [rows!, heads, length!, headDim!]);
}

/** Token ids (int64, any shape) → `[…ids, hidden]`. In a quantized model the table has half precision. */
export function embed(w: Scope, ids: Tensor, config: DecoderConfig): Tensor {
  const at = w.at("model.embed_tokens");
  const { vocabularySize, hiddenSize, quantization, adapter } = config;
  const stored = at.parameter("weight", [vocabularySize, hiddenSize], quantization ? "float16" : "float32");
  const table = config.codeFeatures ? withShared(at, stored, config.codeFeatures) : stored;
  const rows = quantization ? cast(embedding(ids, table), "float32") : embedding(ids, table);
  const own = adapter?.embeddingTokens;
  return own ? embedOwn(at, ids, rows, own, vocabularySize) : rows;
}

/** All layers and the final norm: x `[…rows, hidden]` → same, or the selected rows. */
export function transformer(
  w: Scope,
  x: Tensor,
  attend: Attend,
  config: DecoderConfig,
  options: RowOptions = {},
): Tensor {
  return w.in("model", (w) => {
    let y = x;
    /** Values of the first layer, which later layers add. */
    let first: Tensor | undefined;
    for (let layer = 0; layer < config.layers; layer++)
      y = w.in(`layers.${layer}`, (w) => {
        const see = ({ queries, keys, values }: Projections) => {
          const mixed = config.shortcuts && first ? mix(w, "value_mix", values, first) : values;
          first ??= values;
          return attend(layer, { queries, keys, values: mixed });
        };
        const isLast = layer === config.layers - 1;
        const given = config.shortcuts && layer > 0 ? mix(w, "input_mix", y, x) : y;
        return block(w, given, see, config, isLast ? options : { ...options, select: undefined });
      });
    return norm(w, "norm", y, config);
  });
}

/** x + b y, with a learned scalar b `[1]`. */
const mix = (w: Scope, name: string, x: Tensor, y: Tensor): Tensor =>
  add(x, multiply(y, w.parameter(name, [1])));

/** Logits over the whole vocabulary: hidden `[…rows, hidden]` → `[…rows, vocabulary]`. */
export function head(w: Scope, hidden: Tensor, config: DecoderConfig): Tensor {
  if (config.codeFeatures) {
    const at = w.at("lm_head");
    const table = at.parameter("weight", [config.vocabularySize, config.hiddenSize]);
    return linear(hidden, withShared(at, table, config.codeFeatures));
  }
  const [logits] = project(w, hidden, { lm_head: config.vocabularySize }, config);
  const own = config.adapter?.headTokens;
  return own ? headOwn(w.at("lm_head"), hidden, logits!, own) : logits!;
}

/** A decoder block: x `[…rows, hidden]` → same. Norms come before each sub-layer, or after it ("swin norm"). */
function block(
  w: Scope,
  x: Tensor,
  attend: (projections: Projections) => Tensor,
  config: DecoderConfig,
  options: RowOptions,
): Tensor {
  const around = (x: Tensor, name: string, half: (x: Tensor) => Tensor) =>
    add(x, config.swinNorm ? norm(w, name, half(x), config) : half(norm(w, name, x, config)));
  const attended = around(x, "input_layernorm", (x) =>
    w.in("self_attn", (w) => selfAttention(w, x, attend, config, options)),
  );
  const selected = options.select ? options.select(attended) : attended;
  return around(selected, "post_attention_layernorm", (x) =>
    w.in("mlp", (w) => swiglu(w, x, config, options)),
  );
}

function selfAttention(
  w: Scope,
  x: Tensor,
  attend: (projections: Projections) => Tensor,
  config: DecoderConfig,
  options: RowOptions,
): Tensor {
  const headDim = headWidth(config);
  const width = config.heads * headDim;
  const keyWidth = config.keyValueHeads * headDim;
  const [q, k, v] = project(w, x, { q_proj: width, k_proj: keyWidth, v_proj: keyWidth }, config, options);
  const queries = headNorm(w, "q_norm", perHead(q!, config.heads, headDim));
  const keys = headNorm(w, "k_norm", perHead(k!, config.keyValueHeads, headDim));
  const mixed = attend({ queries, keys, values: perHead(v!, config.keyValueHeads, headDim) });
  const joined = reshape(mixed, [...x.shape.slice(0, -1), width]);
  return project(w, joined, { o_proj: config.hiddenSize }, config)[0]!;
}

/** SwiGLU: down(silu(gate x) ⊙ up x) (https://arxiv.org/abs/2002.05202). */
function swiglu(w: Scope, x: Tensor, config: DecoderConfig, options: RowOptions): Tensor {
  const { intermediateSize, hiddenSize } = config;
  const widths = { gate_proj: intermediateSize, up_proj: intermediateSize };
  const [gate, up] = project(w, x, widths, config, options);
  return project(w, multiply(silu(gate!), up!), { down_proj: hiddenSize }, config)[0]!;
}

/**
 * Linear layers over the same rows, by name and output width: x `[…rows, in]` → `[…rows, width]` each. Several layers
 * may be one product with stacked weights. With an adapter each is its own product, because stacking would copy frozen
 * weights at every step. A quantized matrix is not stacked either, because the stack would be a second copy in memory.
 */
function project(
  w: Scope,
  x: Tensor,
  widths: Readonly<Record<string, number>>,
  { adapter, quantization }: DecoderConfig,
  { stacked = true }: RowOptions = {},
): readonly Tensor[] {
  const names = Object.keys(widths);
  const columns = x.shape.at(-1) as number;
  const weight = (name: string) => w.at(name).parameter("weight", [widths[name]!, columns]);
  if (stacked && names.length > 1 && !adapter && !quantization)
    return split(linear(x, concat(names.map(weight), 0)), -1, Object.values(widths));
  const product = (name: string) =>
    quantization ? quantizedProduct(w.at(name), x, widths[name]!, quantization) : linear(x, weight(name));
  return names.map((name) => addLowRank(w.at(name), name, x, product(name), adapter?.lora));
}

function quantizedProduct(w: Scope, x: Tensor, width: number, quantization: Quantization): Tensor {
  const { codes, scales } = quantizedShapes(width, x.shape.at(-1) as number, quantization);
  return quantizedLinear(
    x,
    w.parameter("weight", codes, "uint8"),
    w.parameter("weight_scale", scales),
    quantization,
  );
}

function norm(w: Scope, name: string, x: Tensor, { hiddenSize, rmsNormEpsilon }: DecoderConfig): Tensor {
  return rmsNorm(x, w.at(name).parameter("weight", [hiddenSize]), rmsNormEpsilon);
}

function headNorm(w: Scope, name: string, x: Tensor): Tensor {
  const shape = x.shape.slice(-2);
  return layerNorm(
    x,
    w.at(name).parameter("weight", shape),
    w.at(name).parameter("bias", shape),
    HEAD_NORM_EPSILON,
  );
}

const perHead = (x: Tensor, heads: number, headDim: number): Tensor =>
  reshape(x, [...x.shape.slice(0, -1), heads, headDim]);
