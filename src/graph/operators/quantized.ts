/**
 * @file Linear layers with weights of 4 or 8 bits, in blocks that share a scale. The speed of decoding is bound by the
 * bytes of weights read per token, and these are a seventh or a quarter of float32's.
 */
import type { Tensor } from "../graph.ts";
import { MICROSOFT } from "../onnx-writer.ts";
import { operator } from "../operator.ts";
import { formatShape, ShapeError, sameShape } from "../shape.ts";

/** How a matrix is quantized: W[n, k] = (code[n, k] − 2^(bits−1)) · scale[n, ⌊k / blockSize⌋]. */
export interface Quantization {
  readonly bits: 4 | 8;
  /** Consecutive weights of a row that share a scale: a power of two, 16 or more. */
  readonly blockSize: number;
}

/** Shapes of a stored matrix `[out, width]`: codes (uint8; of two 4-bit codes the low one first) and scales (float32). */
export function quantizedShapes(
  out: number,
  width: number,
  { bits, blockSize }: Quantization,
): { readonly codes: readonly number[]; readonly scales: readonly number[] } {
  const blocks = Math.ceil(width / blockSize);
  return { codes: [out, blocks, (blockSize * bits) / 8], scales: [out, blocks] };
}

/**
 * x · Wᵀ for a quantized W `[out, width]`, whose codes and scales have the shapes of `quantizedShapes`. Codes beyond the
 * width in the last block are ignored. dX = dY · W. W is frozen: it gets no gradient.
 *
 * On the CPU x is rounded to 8 bits in blocks of the same size.
 *
 * @param x `[…, width]` @returns `[…, out]`
 */
export const quantizedLinear = (
  x: Tensor,
  codes: Tensor,
  scales: Tensor,
  quantization: Quantization,
): Tensor => product([x, codes, scales], { ...quantization });
const product = operator<Quantization>("quantizedLinear", {
  infer([x, codes, scales], quantization) {
    const width = x!.shape.at(-1);
    if (typeof width !== "number")
      throw new ShapeError(`expected rows of a known width, got ${formatShape(x!.shape)}`);
    const [out] = codes!.shape as readonly number[];
    checkWeight(codes!, scales!, out!, width, quantization);
    return { dtype: "float32", shape: [...x!.shape.slice(0, -1), out!] };
  },
  emit: (writer, inputs, { bits, blockSize }, { inputs: [x, codes] }) =>
    writer.node(
      "MatMulNBits",
      inputs,
      {
        K: x!.shape.at(-1) as number,
        N: codes!.shape[0] as number,
        bits,
        block_size: blockSize,
        accuracy_level: ROUND_TO_8_BITS,
      },
      MICROSOFT,
    ),
  gradient: ([x, codes, scales], _y, dy, quantization) => [
    transposed([dy, codes!, scales!], { ...quantization, width: x!.shape.at(-1) as number }),
    null,
    null,
  ],
});

/** The `accuracy_level` of MatMulNBits that computes in 8-bit integers. */
const ROUND_TO_8_BITS = 4;

/** dY · W: `[…, out]` → `[…, width]`. No gradient. */
const transposed = operator<Quantization & { readonly width: number }>("quantizedLinearBackward", {
  infer([dy, codes, scales], { width, ...quantization }) {
    checkWeight(codes!, scales!, dy!.shape.at(-1) as number, width, quantization);
    return { dtype: "float32", shape: [...dy!.shape.slice(0, -1), width] };
  },
  emit(writer, [dy, codes, scales], { width, bits, blockSize }, { inputs: [, weight] }) {
    const [out, blocks] = weight!.shape as readonly [number, number];
    // Rows 0 … out − 1, counted from Size(dY) mod out = 0. With constant rows the matrix would be constant too, and
    // onnxruntime would keep all of it in float32.
    const number = (value: number) =>
      writer.constant({ dtype: "int64", shape: [] }, BigInt64Array.of(BigInt(value)));
    const zero = writer.node("Mod", [writer.node("Size", [dy!]), number(out)]);
    const rows = writer.node("Range", [zero, number(out), number(1)]);
    const attributes = { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 2 };
    const perBlock = writer.node("Reshape", [scales!, writer.ints([out, blocks, 1])]);
    const matrix = writer.node("GatherBlockQuantized", [codes!, rows, perBlock], attributes, MICROSOFT);
    const padded = writer.node("Reshape", [matrix, writer.ints([out, blocks * blockSize])]);
    const exact =
      width === blocks * blockSize
        ? padded
        : writer.node("Slice", [padded, writer.ints([0]), writer.ints([width]), writer.ints([1])]);
    return writer.node("MatMul", [dy!, exact]);
  },
});

function checkWeight(
  codes: Tensor,
  scales: Tensor,
  out: number,
  width: number,
  quantization: Quantization,
): void {
  const expected = quantizedShapes(out, width, quantization);
  if (
    codes.dtype === "uint8" &&
    sameShape(codes.shape, expected.codes) &&
    scales.dtype === "float32" &&
    sameShape(scales.shape, expected.scales)
  )
    return;
  throw new ShapeError(
    `expected codes uint8 ${formatShape(expected.codes)} and scales float32 ${formatShape(expected.scales)} for width ${width}, got ${codes.dtype} ${formatShape(codes.shape)} and ${scales.dtype} ${formatShape(scales.shape)}`,
  );
}
