/**
 * @file The patch tokenizer: the latent of a cell is its raw pixels, and its code the nearest of a codebook of patches.
 * Code vectors are in a linear space of colours: a change of tone maps codes to codes, and the codebook cannot collapse.
 * The decoder starts from the picture of the code vectors and adds the output of a residual network (pre-norm residual
 * blocks on the grid of cells; sub-pixel output, https://arxiv.org/abs/1609.05158).
 */
import {
  add,
  concat,
  type Dim,
  linear,
  multiply,
  pad,
  relu,
  reshape,
  rmsNorm,
  type Scope,
  slice,
  type Tensor,
  transpose,
} from "../../graph/index.ts";
import type { VqganConfig } from "./vqgan-config.ts";

const EPSILON = 1e-6;
/** Scale of the network's output: corrections are small compared to pictures, and so must be the changes of a step. */
const SCALE = 0.1;

/** Side of a cell in pixels. */
export const patchSide = ({ channelMultiplier }: Pick<VqganConfig, "channelMultiplier">): number =>
  2 ** (channelMultiplier.length - 1);

/** Pictures `[n, 3, side, side]` → latents `[n, 3 · cell², grid, grid]`: the pixels of each cell as channels. */
export function patchEncoder(pictures: Tensor, config: VqganConfig): Tensor {
  const [cell, grid] = [patchSide(config), config.resolution / patchSide(config)];
  const n = pictures.shape[0]!;
  const cells = reshape(pictures, [n, 3, grid, cell, grid, cell]);
  return reshape(transpose(cells, [0, 1, 3, 5, 2, 4]), [n, config.embedDim, grid, grid]);
}

/**
 * Code vectors `[n, 3 · cell², grid, grid]` → pictures `[n, 3, side, side]`, about [−1, 1]. The network works on the grid
 * of cells: the correction of a cell is one vector of all its pixels, computed from the cells around it.
 */
export function patchDecoder(w: Scope, vectors: Tensor, config: VqganConfig): Tensor {
  const { baseChannels, channelMultiplier, residualBlocks, embedDim, resolution } = config;
  const cells = transpose(vectors, [0, 2, 3, 1]); // [n, grid, grid, 3 · cell²]
  const correction = w.in("decoder", (w) => {
    let x = convolution(w, "conv_in", cells, baseChannels * channelMultiplier.at(-1)!);
    for (let i = 0; i < residualBlocks; i++) x = residualBlock(w.at(`block.${i}`), x);
    return multiply(convolution(w, "conv_out", norm(w, "norm_out", x), embedDim), SCALE);
  });
  const [cell, grid] = [patchSide(config), resolution / patchSide(config)];
  const n = vectors.shape[0]!;
  const pixels = reshape(add(cells, correction), [n, grid, grid, 3, cell, cell]);
  return reshape(transpose(pixels, [0, 3, 1, 4, 2, 5]), [n, 3, resolution, resolution]);
}

/** Norm, convolution, ReLU, convolution, with a shortcut. */
function residualBlock(w: Scope, x: Tensor): Tensor {
  const channels = x.shape[3] as number;
  const inner = relu(convolution(w, "conv1", norm(w, "norm", x), channels));
  return add(x, convolution(w, "conv2", inner, channels));
}

const norm = (w: Scope, name: string, x: Tensor): Tensor =>
  rmsNorm(x, w.at(name).parameter("weight", [x.shape[3] as number]), EPSILON);

/**
 * A 3 × 3 convolution over `[n, height, width, in]` → `[n, height, width, out]` as one matrix product over the nine
 * shifted copies: in training several times as fast as onnxruntime's convolution and its gradients.
 */
function convolution(w: Scope, name: string, x: Tensor, channels: number): Tensor {
  const [, height, width, incoming] = x.shape as [Dim, number, number, number];
  const around = pad(pad(x, 1, 1, 1), 2, 1, 1);
  const shifted = [0, 1, 2].flatMap((dy) => {
    const rows = slice(around, 1, dy, dy + height);
    return [0, 1, 2].map((dx) => slice(rows, 2, dx, dx + width));
  });
  const at = w.at(name);
  const weight = at.parameter("weight", [channels, 9 * incoming]);
  return add(linear(concat(shifted, 3), weight), at.parameter("bias", [channels]));
}
