/**
 * @file The VQGAN image tokenizer of the Chameleon family (https://arxiv.org/abs/2012.09841): a convolutional encoder,
 * vector quantization of each position, and a decoder. Weights have the names of the published checkpoints.
 */
import {
  add,
  argMin,
  attention,
  conv2d,
  type Dim,
  divide,
  embedding,
  groupNorm,
  matmul,
  multiply,
  multiplyDims,
  reshape,
  type Scope,
  silu,
  softmax,
  sqrt,
  sum,
  type Tensor,
  transpose,
  upsample,
} from "../../graph/index.ts";
import { patchDecoder, patchEncoder } from "./patches.ts";
import type { VqganConfig } from "./vqgan-config.ts";

export type { VqganConfig };

const EPSILON = 1e-6;

/** Codes along one side of a picture. */
export const gridSide = (config: VqganConfig): number =>
  config.resolution / 2 ** (config.channelMultiplier.length - 1);

/** Codes of one picture. */
export const codesPerImage = (config: VqganConfig): number => gridSide(config) ** 2;

/** Pictures `[n, 3, side, side]` in [−1, 1] → latents `[n, embedDim, grid, grid]`. */
export function encoder(w: Scope, pictures: Tensor, config: VqganConfig): Tensor {
  const { resolution, encoderTile } = config;
  if (config.patches) return patchEncoder(pictures, config);
  if (encoderTile === undefined || encoderTile === resolution) return wholeEncoder(w, pictures, config);
  const tiles = resolution / encoderTile; // per side
  return joinTiles(wholeEncoder(w, cutTiles(pictures, tiles), config), pictures.shape[0]!, tiles);
}

/** `[n, c, side, side]` → `[n · tiles², c, side / tiles, side / tiles]`, the tiles of a picture row by row. */
function cutTiles(x: Tensor, tiles: number): Tensor {
  const [n, channels, side] = x.shape;
  const part = (side as number) / tiles;
  const grid = transpose(reshape(x, [n!, channels!, tiles, part, tiles, part]), [0, 2, 4, 1, 3, 5]);
  return reshape(grid, [multiplyDims(n!, tiles ** 2), channels!, part, part]);
}

/** The inverse of `cutTiles`, for `n` pictures. */
function joinTiles(x: Tensor, n: Dim, tiles: number): Tensor {
  const [, channels, part] = x.shape;
  const side = (part as number) * tiles;
  const grid = transpose(reshape(x, [n, tiles, tiles, channels!, part!, part!]), [0, 3, 1, 4, 2, 5]);
  return reshape(grid, [n, channels!, side, side]);
}

function wholeEncoder(w: Scope, pictures: Tensor, config: VqganConfig): Tensor {
  const latents = w.in("encoder", (w) => {
    let x = convolution(w, "conv_in", pictures, config.baseChannels);
    for (const level of config.channelMultiplier.keys())
      x = w.in(`down.${level}`, (w) => {
        let y = x;
        for (let i = 0; i < config.residualBlocks; i++)
          y = levelBlock(w, y, level, i, config, config.attentionResolutions);
        const last = level === config.channelMultiplier.length - 1;
        return last ? y : downsample(w.at("downsample"), y);
      });
    return output(w, middle(w.at("mid"), x, config), config.latentChannels, config);
  });
  return convolution(w, "quant_conv", latents, config.embedDim, 1);
}

/** Code vectors `[n, embedDim, grid, grid]` → pictures `[n, 3, side, side]`, about [−1, 1]. */
export function decoder(w: Scope, vectors: Tensor, config: VqganConfig): Tensor {
  if (config.patches) return patchDecoder(w, vectors, config);
  const attentive = config.decoderAttentionResolutions ?? config.attentionResolutions;
  const latents = convolution(w, "post_quant_conv", vectors, config.latentChannels, 1);
  return w.in("decoder", (w) => {
    const widest = config.baseChannels * config.channelMultiplier.at(-1)!;
    let x = middle(w.at("mid"), convolution(w, "conv_in", latents, widest), config);
    for (const level of [...config.channelMultiplier.keys()].reverse())
      x = w.in(`up.${level}`, (w) => {
        let y = x;
        for (let i = 0; i <= config.residualBlocks; i++) y = levelBlock(w, y, level, i, config, attentive);
        return level === 0 ? y : convolution(w.at("upsample"), "conv", upsample(y, 2), channelsOf(y));
      });
    return output(w, x, 3, config);
  });
}

/** The result of quantization: codes, code vectors, and encoder vectors, in the same order. */
export interface Quantized {
  /** int64 `[n · grid²]`, row by row. */
  readonly codes: Tensor;
  /** The codebook's vectors `[n · grid², embedDim]`. */
  readonly vectors: Tensor;
  /** The encoder's vectors `[n · grid², embedDim]`. */
  readonly latents: Tensor;
}

/**
 * The nearest row of a codebook by Euclidean distance: vectors `[n, width]` and codebook `[codes, width]` → int64 `[n]`.
 * |e|² − 2 z·e has the same order as |z − e|².
 */
export function nearestCodes(vectors: Tensor, codebook: Tensor): Tensor {
  const lengths = reshape(sum(multiply(codebook, codebook), 1), [codebook.shape[0]!]);
  return argMin(add(matmul(vectors, codebook, { transposeY: true, scale: -2 }), lengths), 1);
}

/** The nearest code of each latent. */
export function quantize(w: Scope, latents: Tensor, config: VqganConfig): Quantized {
  const rows = multiplyDims(latents.shape[0]!, codesPerImage(config));
  const flat = reshape(transpose(latents, [0, 2, 3, 1]), [rows, config.embedDim]);
  const codebook = codebookOf(w, config);
  const codes = nearestCodes(flat, codebook);
  return { codes, vectors: embedding(codes, codebook), latents: flat };
}

/** Codes int64 `[n, grid²]` → code vectors `[n, grid², embedDim]`. */
export function codeVectors(w: Scope, codes: Tensor, config: VqganConfig): Tensor {
  return embedding(codes, vectorsOf(w, config));
}

/** Codes int64 `[n, grid²]` → pictures. */
export function decodeCodes(w: Scope, codes: Tensor, config: VqganConfig): Tensor {
  return decodeVectors(w, codeVectors(w, codes, config), config);
}

/** Vectors `[n, grid², embedDim]` of the cells of pictures → pictures. */
export function decodeVectors(w: Scope, vectors: Tensor, config: VqganConfig): Tensor {
  const side = gridSide(config);
  const cells = reshape(vectors, [vectors.shape[0]!, side, side, config.embedDim]);
  return decoder(w, transpose(cells, [0, 3, 1, 2]), config);
}

/** The vectors of all codes in the decoder's input space, `[codes, embedDim]`. */
const vectorsOf = (w: Scope, config: VqganConfig): Tensor =>
  config.unitCodes ? unit(codebookOf(w, config)) : codebookOf(w, config);

const codebookOf = (w: Scope, config: VqganConfig): Tensor =>
  w.at("quantize.embedding").parameter("weight", [config.codes, config.embedDim]);

/** The mean of the code vectors under the softmax of logits `[n, codes]`: `[n, embedDim]`. */
export const meanVectors = (w: Scope, logits: Tensor, config: VqganConfig): Tensor =>
  matmul(softmax(logits), vectorsOf(w, config));

/** Scales vectors along the last axis to length 1. */
const unit = (x: Tensor): Tensor => divide(x, sqrt(sum(multiply(x, x), -1)));

/** The `index`-th residual block of a level, followed by attention if the level's side is among `attentive`. */
function levelBlock(
  w: Scope,
  x: Tensor,
  level: number,
  index: number,
  config: VqganConfig,
  attentive: readonly number[] = [],
): Tensor {
  const channels = config.baseChannels * config.channelMultiplier[level]!;
  const y = residualBlock(w.at(`block.${index}`), x, channels, config);
  if (!attentive.includes(config.resolution / 2 ** level)) return y;
  return w.in(`attn.${index}`, (w) => add(y, selfAttention(w, y, config)));
}

/** Residual block, self-attention over all positions, residual block: the middle of encoder and decoder. */
function middle(w: Scope, x: Tensor, config: VqganConfig): Tensor {
  const channels = channelsOf(x);
  let y = residualBlock(w.at("block_1"), x, channels, config);
  y = w.in("attn_1", (w) => add(y, selfAttention(w, y, config)));
  return residualBlock(w.at("block_2"), y, channels, config);
}

/** Norm, SiLU, convolution, twice, with a shortcut (1 × 1 convolution if the number of channels changes). */
function residualBlock(w: Scope, x: Tensor, channels: number, config: VqganConfig): Tensor {
  let y = convolution(w, "conv1", silu(norm(w, "norm1", x, config)), channels);
  y = convolution(w, "conv2", silu(norm(w, "norm2", y, config)), channels);
  return add(channelsOf(x) === channels ? x : convolution(w, "nin_shortcut", x, channels, 1), y);
}

/** Single-head attention over the positions of a picture. */
function selfAttention(w: Scope, x: Tensor, config: VqganConfig): Tensor {
  const [n, channels, height, width] = x.shape;
  const y = norm(w, "norm", x, config);
  const perPosition = (name: string) => {
    const projected = convolution(w, name, y, channelsOf(x), 1);
    return transpose(reshape(projected, [n!, 1, channels!, multiplyDims(height!, width!)]), [0, 1, 3, 2]);
  };
  const mixed = attention(perPosition("q"), perPosition("k"), perPosition("v"));
  return convolution(w, "proj_out", reshape(transpose(mixed, [0, 1, 3, 2]), x.shape), channelsOf(x), 1);
}

/** Halves the sides; the published encoders pad on the right and at the bottom only. */
function downsample(w: Scope, x: Tensor): Tensor {
  const channels = channelsOf(x);
  const weight = w.at("conv").parameter("weight", [channels, channels, 3, 3]);
  return conv2d(x, weight, w.at("conv").parameter("bias", [channels]), { stride: 2, padding: [0, 0, 1, 1] });
}

function output(w: Scope, x: Tensor, channels: number, config: VqganConfig): Tensor {
  return convolution(w, "conv_out", silu(norm(w, "norm_out", x, config)), channels);
}

function norm(w: Scope, name: string, x: Tensor, { normGroups }: VqganConfig): Tensor {
  const at = w.at(name);
  const shape = [channelsOf(x)];
  return groupNorm(x, at.parameter("weight", shape), at.parameter("bias", shape), normGroups, EPSILON);
}

/** A convolution with padding that keeps the sides. */
function convolution(w: Scope, name: string, x: Tensor, channels: number, kernel = 3): Tensor {
  const at = w.at(name);
  const weight = at.parameter("weight", [channels, channelsOf(x), kernel, kernel]);
  return conv2d(x, weight, at.parameter("bias", [channels]), { padding: (kernel - 1) / 2 });
}

const channelsOf = (x: Tensor): number => x.shape[1] as number;
