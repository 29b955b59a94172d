/** @file Convolutions over images `[n, channels, height, width]`, and nearest up-sampling. */
import type { Gradients, Tensor } from "../graph.ts";
import { operator } from "../operator.ts";
import { formatShape, knownShape, multiplyDims, ShapeError, sameShape } from "../shape.ts";
import { multiply } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { sum } from "./reduction.ts";
import { concat, pad, reshape, slice, transpose } from "./shape.ts";

/** Zeros around an image: top, left, bottom, right. */
export type Padding = readonly [number, number, number, number];

export interface ConvolutionOptions {
  readonly stride?: number;
  /** One number for all sides, or one per side. */
  readonly padding?: number | Padding;
}

interface Window {
  readonly stride: number;
  readonly pads: Padding;
}

const windowOf = ({ stride = 1, padding = 0 }: ConvolutionOptions): Window => ({
  stride,
  pads: typeof padding === "number" ? [padding, padding, padding, padding] : padding,
});

/**
 * Cross-correlation of x `[n, in, height, width]` with weight `[out, in, kh, kw]`, plus bias `[out]` if given.
 * The input's gradient is the transposed convolution; the weight's is a sum of products of shifted images.
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: ConvolutionOptions = {}): Tensor {
  return convolve(bias ? [x, weight, bias] : [x, weight], windowOf(options));
}
const convolve = operator<Window>("conv2d", {
  infer([x, weight, bias], { stride, pads }) {
    const [n, , height, width] = x!.shape;
    const [out, , kh, kw] = knownShape(weight!.shape, "weight");
    if (x!.rank !== 4 || x!.shape[1] !== weight!.shape[1])
      throw new ShapeError(`expected images with ${weight!.shape[1]} channels, got ${formatShape(x!.shape)}`);
    checkBias(bias, out!);
    const [h, w] = knownShape([height!, width!], "picture size");
    const room = [h! + pads[0] + pads[2] - kh!, w! + pads[1] + pads[3] - kw!];
    if (room.some((pixels) => pixels < 0))
      throw new ShapeError(`expected images of at least ${kh} × ${kw} with padding, got ${h} × ${w}`);
    const size = room.map((pixels) => Math.floor(pixels / stride) + 1);
    return { dtype: x!.dtype, shape: [n!, out!, ...size] };
  },
  emit: (writer, inputs, { stride, pads }) =>
    writer.node("Conv", inputs, { strides: [stride, stride], pads }),
  gradient([x, weight, bias], _y, dy, window): Gradients {
    const dx = convTransposed([dy, weight!], {
      ...window,
      size: knownShape(x!.shape.slice(2), "picture size"),
    });
    return [dx, weightGradient(x!, dy, weight!, window), ...(bias ? [sumOverPictures(dy)] : [])];
  },
});

/**
 * Transposed convolution of x `[n, in, height, width]` with weight `[in, out, kh, kw]`, plus bias `[out]` if given;
 * `outputPadding` rows and columns are added at the bottom and right.
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { outputPadding = 0, ...options }: ConvolutionOptions & { readonly outputPadding?: number } = {},
): Tensor {
  const window = windowOf(options);
  const [top, left, bottom, right] = window.pads;
  const [, , height, width] = knownShape([0, 0, ...x.shape.slice(2)], "picture size");
  const [, , kh, kw] = knownShape(weight.shape, "weight");
  const size = [
    (height! - 1) * window.stride + kh! + outputPadding - top - bottom,
    (width! - 1) * window.stride + kw! + outputPadding - left - right,
  ];
  return convTransposed(bias ? [x, weight, bias] : [x, weight], { ...window, size });
}
type SizedWindow = Window & { readonly size: readonly number[] };
const convTransposed = operator<SizedWindow>("convTranspose2d", {
  infer([x, weight, bias], { stride, pads, size }) {
    if (x!.rank !== 4 || x!.shape[1] !== weight!.shape[0])
      throw new ShapeError(`expected images with ${weight!.shape[0]} channels, got ${formatShape(x!.shape)}`);
    checkBias(bias, weight!.shape[1] as number);
    const extra = outputPaddings(x!, weight!, { stride, pads, size });
    if (extra.some((pixels) => pixels < 0 || pixels >= stride))
      throw new ShapeError(`expected an output padding below the stride of ${stride}, got ${extra}`);
    return { dtype: x!.dtype, shape: [x!.shape[0]!, weight!.shape[1]!, ...size] };
  },
  emit(writer, inputs, { stride, pads, size }, { inputs: [x, weight] }) {
    const output_padding = outputPaddings(x!, weight!, { stride, pads, size });
    return writer.node("ConvTranspose", inputs, { strides: [stride, stride], pads, output_padding });
  },
  gradient([x, weight, bias], _y, dy, { stride, pads }): Gradients {
    const window = { stride, pads };
    return [
      convolve([dy, weight!], window),
      weightGradient(dy, x!, weight!, window),
      ...(bias ? [sumOverPictures(dy)] : []),
    ];
  },
});

/** Rows and columns by which `size` exceeds what the kernel covers. */
function outputPaddings(x: Tensor, weight: Tensor, { stride, pads, size }: SizedWindow): number[] {
  return size.map((length, i) => {
    const spread = ((x.shape[i + 2] as number) - 1) * stride + (weight.shape[i + 2] as number);
    return length - (spread - pads[i]! - pads[i + 2]!);
  });
}

function checkBias(bias: Tensor | undefined, channels: number): void {
  if (bias && !sameShape(bias.shape, [channels]))
    throw new ShapeError(`expected a bias [${channels}], got ${formatShape(bias.shape)}`);
}

/**
 * d(weight) of `out = conv(x, weight)`: for each offset of the kernel, the product of d(out) with the image shifted
 * by that offset. On a CPU, nine matrix products are faster than one convolution with batch and channels swapped.
 */
function weightGradient(
  x: Tensor,
  dout: Tensor,
  weight: Tensor,
  { stride, pads: [top, left, bottom, right] }: Window,
): Tensor {
  const [out, channels, kh, kw] = knownShape(weight.shape, "weight");
  const [n, , height, width] = dout.shape;
  const [h, w] = knownShape([height!, width!], "picture size");
  const around = pad(pad(x, 2, top, bottom), 3, left, right);
  const flat = (picture: Tensor) => reshape(picture, [n!, picture.shape[1]!, multiplyDims(h!, w!)]);
  const upstream = flat(dout);
  const products = Array.from({ length: kh! * kw! }, (_, i) => {
    const [dy, dx] = [Math.floor(i / kw!), i % kw!];
    const rows = slice(around, 2, dy, dy + (h! - 1) * stride + 1, stride);
    const shifted = slice(rows, 3, dx, dx + (w! - 1) * stride + 1, stride);
    const product = sum(matmul(upstream, flat(shifted), { transposeY: true }), 0);
    return reshape(product, [1, out!, channels!]);
  });
  return reshape(transpose(concat(products, 0), [1, 2, 0]), weight.shape);
}

const sumOverPictures = (dy: Tensor): Tensor => sum(dy, [0, 2, 3], { keep: false });

/** Every pixel repeated `factor` times along both sides. */
export const upsample = (x: Tensor, factor: number): Tensor => nearest([x], { factor });
const nearest = operator<{ factor: number }>("upsample", {
  infer: ([x], { factor }) => scaled(x!, factor, 1),
  emit(writer, [x], { factor }) {
    const scales = writer.constant({ dtype: "float32", shape: [4] }, Float32Array.of(1, 1, factor, factor));
    const mode = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
    return writer.node("Resize", [x!, "", scales], mode);
  },
  gradient: (_inputs, _y, dy, { factor }) => [multiply(averagePool(dy, factor), factor * factor)],
});

/** Means of `factor` × `factor` blocks. */
export const averagePool = (x: Tensor, factor: number): Tensor => pool([x], { factor });
const pool = operator<{ factor: number }>("averagePool", {
  infer: ([x], { factor }) => scaled(x!, 1, factor),
  emit: (writer, inputs, { factor }) =>
    writer.node("AveragePool", inputs, { kernel_shape: [factor, factor], strides: [factor, factor] }),
  gradient: (_inputs, _y, dy, { factor }) => [multiply(upsample(dy, factor), 1 / (factor * factor))],
});

function scaled({ dtype, shape }: Tensor, factor: number, divisor: number) {
  const sides = knownShape(shape.slice(2), "picture size").map((side) => (side * factor) / divisor);
  if (shape.length !== 4 || sides.some((side) => !Number.isInteger(side)))
    throw new ShapeError(`expected images whose sides divide by ${divisor}, got ${formatShape(shape)}`);
  return { dtype, shape: [...shape.slice(0, 2), ...sides] };
}
