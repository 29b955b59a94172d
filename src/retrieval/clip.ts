/**
 * @file CLIP (https://arxiv.org/abs/2103.00020) in the graph language: embeds texts and pictures in one space. The
 * paper's RAIE uses the text embeddings of ViT-B/32. Weights have transformers' names.
 */
import { z } from "zod";
import {
  add,
  attention,
  concat,
  conv2d,
  divide,
  embedding,
  type Graph,
  layerNorm,
  linear,
  multiply,
  reshape,
  type Scope,
  sigmoid,
  slice,
  sqrt,
  sum,
  type Tensor,
  transpose,
} from "../graph/index.ts";

const size = (value: number) => z.int().min(1).max(65_536).default(value);
const tower = (hidden: number, heads: number) => ({
  hidden_size: size(hidden),
  intermediate_size: size(4 * hidden),
  num_hidden_layers: size(12),
  num_attention_heads: size(heads),
  hidden_act: z.literal("quick_gelu").default("quick_gelu"),
  layer_norm_eps: z.number().positive().default(1e-5),
});

/** `config.json` of a CLIP; defaults are those of ViT-B/32. */
export const clipConfigSchema = z.looseObject({
  model_type: z.literal("clip"),
  projection_dim: size(512),
  text_config: z
    .looseObject({
      ...tower(512, 8),
      vocab_size: z.int().min(1).default(49_408),
      max_position_embeddings: size(77),
    })
    .prefault({}),
  vision_config: z
    .looseObject({ ...tower(768, 12), image_size: size(224), patch_size: size(32) })
    .prefault({}),
});
export type ClipConfig = z.output<typeof clipConfigSchema>;

type Tower = Pick<
  ClipConfig["text_config"],
  "hidden_size" | "intermediate_size" | "num_hidden_layers" | "num_attention_heads" | "layer_norm_eps"
>;

/**
 * The embedding of one text, of length 1: `[1, projection]`. Adds the inputs `tokens` and `positions` (int64 `[time]`)
 * and `bias` (float32 `[time, time]`: 0 for visible, a large negative number for masked). The last token ends the text.
 */
export function clipText(graph: Graph, config: ClipConfig): Tensor {
  const { text_config: text, projection_dim } = config;
  const w = graph.scope().at("text_model");
  const row = (name: string, input: string, rows: number) =>
    embedding(
      graph.input(input, "int64", ["time"]),
      w.at("embeddings").at(name).parameter("weight", [rows, text.hidden_size]),
    );
  const x = add(
    row("token_embedding", "tokens", text.vocab_size),
    row("position_embedding", "positions", text.max_position_embeddings),
  );
  const bias = graph.input("bias", "float32", ["time", "time"]);
  const y = norm(w, "final_layer_norm", encoder(w, x, text, bias), text);
  const last = embedding(graph.input("last", "int64", [1]), y); // [1, hidden]
  return projected(graph.scope().at("text_projection"), last, text.hidden_size, projection_dim);
}

/** The embedding of one picture, of length 1: `[1, projection]`. Adds the input `pixels` (float32 `[1, 3, side, side]`). */
export function clipImage(graph: Graph, config: ClipConfig): Tensor {
  const { vision_config: vision, projection_dim } = config;
  const { hidden_size: hidden, image_size: side, patch_size: patch } = vision;
  const w = graph.scope().at("vision_model");
  const at = w.at("embeddings");
  const count = Math.floor(side / patch) ** 2;
  const pixels = graph.input("pixels", "float32", [1, 3, side, side]);
  const kernel = at.at("patch_embedding").parameter("weight", [hidden, 3, patch, patch]);
  const grid = conv2d(pixels, kernel, undefined, { stride: patch }); // [1, hidden, n, n]
  const patches = transpose(reshape(grid, [hidden, count]), [1, 0]);
  const whole = reshape(at.parameter("class_embedding", [hidden]), [1, hidden]);
  const positions = at.at("position_embedding").parameter("weight", [count + 1, hidden]);
  const x = norm(w, "pre_layrnorm", add(concat([whole, patches], 0), positions), vision);
  const first = slice(encoder(w, x, vision), 0, 0, 1);
  const y = norm(w, "post_layernorm", first, vision);
  return projected(graph.scope().at("visual_projection"), y, hidden, projection_dim);
}

/** All layers: x `[time, hidden]` → same. */
function encoder(w: Scope, x: Tensor, config: Tower, bias?: Tensor): Tensor {
  let y = x;
  for (let layer = 0; layer < config.num_hidden_layers; layer++)
    y = w.in(`encoder.layers.${layer}`, (w) => {
      const attended = add(
        y,
        selfAttention(w.at("self_attn"), norm(w, "layer_norm1", y, config), config, bias),
      );
      return add(attended, perceptron(w.at("mlp"), norm(w, "layer_norm2", attended, config), config));
    });
  return y;
}

function selfAttention(w: Scope, x: Tensor, config: Tower, bias?: Tensor): Tensor {
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  const perHead = (name: string) =>
    transpose(reshape(affine(w, name, x, hidden), [1, x.shape[0]!, heads, hidden / heads]), [0, 2, 1, 3]);
  const mixed = attention(perHead("q_proj"), perHead("k_proj"), perHead("v_proj"), bias);
  return affine(w, "out_proj", reshape(transpose(mixed, [0, 2, 1, 3]), x.shape), hidden);
}

/** fc2(quickGelu(fc1 x)), quickGelu(x) = x σ(1.702 x). */
function perceptron(w: Scope, x: Tensor, config: Tower): Tensor {
  const y = affine(w, "fc1", x, config.intermediate_size);
  return affine(w, "fc2", multiply(y, sigmoid(multiply(y, 1.702))), config.hidden_size);
}

function affine(w: Scope, name: string, x: Tensor, width: number): Tensor {
  const at = w.at(name);
  const weight = at.parameter("weight", [width, x.shape.at(-1) as number]);
  return add(linear(x, weight), at.parameter("bias", [width]));
}

function norm(w: Scope, name: string, x: Tensor, { hidden_size, layer_norm_eps }: Tower): Tensor {
  const at = w.at(name);
  const weight = at.parameter("weight", [hidden_size]);
  return layerNorm(x, weight, at.parameter("bias", [hidden_size]), layer_norm_eps);
}

/** Projects into the shared space, at length 1. */
function projected(w: Scope, x: Tensor, hidden: number, width: number): Tensor {
  const y = linear(x, w.parameter("weight", [width, hidden]));
  return divide(y, sqrt(sum(multiply(y, y), -1)));
}
