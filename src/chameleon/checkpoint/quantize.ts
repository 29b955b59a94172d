/**
 * @file Weights in 4 or 8 bits, in the layout of onnxruntime's `MatMulNBits`
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits).
 *
 * Each block of B neighbours in a row of a matrix `[N, K]` shares one scale: x ≈ scale · (code − zero). The zero is in
 * the middle of the codes: 8 or 128. A matrix becomes
 *
 * | tensor | type | shape | |
 * |---|---|---|---|
 * | `X.weight` | U8 | `[N, ⌈K/B⌉, B · bits / 8]` | codes; two 4-bit codes per byte, the first in the low half |
 * | `X.weight_scale` | F32 | `[N, ⌈K/B⌉]` | may be negative |
 *
 * If K is not a multiple of B, the last block is padded with codes of zero.
 */
import { z } from "zod";
import type { Quantization } from "../../graph/index.ts";
import { type Dtype, FLOATS } from "../../runtime/safetensors.ts";

/** Numbers per block. Larger blocks take less memory and time, and are less exact. */
export const blockSizes = [32, 64, 128] as const;
export type BlockSize = (typeof blockSizes)[number];
/** The largest blocks at which no loss of quality beyond that of the smallest was measured (docs/convert.md). */
export const defaultBlockSize = (bits: Quantization["bits"]): BlockSize => (bits === 4 ? 64 : 128);

/** How matrices are quantized; a stored model has one of these forms. */
export interface StoredQuantization extends Quantization {
  readonly blockSize: BlockSize;
}

/** `quantization_config` of `config.json`. */
export interface QuantizationConfig {
  readonly quant_method: "xprompt";
  readonly bits: StoredQuantization["bits"];
  readonly block_size: BlockSize;
}

/** Schema of `quantization_config`; weights of other methods cannot be read. */
export const quantizationConfigSchema = z.looseObject({
  quant_method: z.literal("xprompt", {
    error: ({ input }) => `expected "xprompt", got ${JSON.stringify(input)}: use a folder with plain weights`,
  }),
  bits: z.union([z.literal(4), z.literal(8)]),
  block_size: z.literal(blockSizes),
});

export const quantizationConfig = ({ bits, blockSize }: StoredQuantization): QuantizationConfig => ({
  quant_method: "xprompt",
  bits,
  block_size: blockSize,
});

/** Whether a matrix is quantized: those of the decoder's layers, and the output head. */
export const isQuantizable = (name: string): boolean =>
  /^model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)\.weight$/.test(name) ||
  name === "lm_head.weight";

/** The types that a stored weight may have. */
export const dtypesOf = (
  name: string,
  { quantization }: { readonly quantization?: unknown },
): readonly Dtype[] => (quantization !== undefined && isQuantizable(name) ? ["U8"] : FLOATS);

/** Row length of a quantizable matrix; its codes give it in whole blocks only. */
export const columnsOf = (
  name: string,
  { hiddenSize, intermediateSize }: { readonly hiddenSize: number; readonly intermediateSize: number },
): number => (name.endsWith("down_proj.weight") ? intermediateSize : hiddenSize);

/** Name of the scales of a quantized matrix. */
export const scaleName = (weight: string): string => `${weight}${SCALE}`;
const SCALE = "_scale";

/** Whether a tensor holds the scales of a quantized matrix. */
export const isScale = (name: string): boolean => name.endsWith(SCALE);

/** Rows of a matrix in the layout above. */
export interface QuantizedRows {
  readonly codes: Uint8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
}

/**
 * Candidate codes, relative to the zero, for the extreme value of a block. Clipping the extreme a little, or keeping it
 * inside the range, can reduce the error of the other values. For normally distributed weights the mean square error is
 * 10% lower than with −8 alone, and 1% higher than with twenty candidates. With 8 bits it makes no difference.
 */
const places: Readonly<Record<Quantization["bits"], Float64Array>> = {
  4: Float64Array.of(-8, -7.6, -8.4, -7.2, -8.8),
  8: Float64Array.of(-128),
};

/**
 * Quantizes whole rows. For each block it tries the candidate codes of the extreme value, each with the least-squares
 * scale of the resulting codes, s = Σ x·q / Σ q², and keeps the one with the smallest error.
 * @param values `[rows, columns]`
 * @throws RangeError for a value that is not finite
 */
export function quantizeRows(
  values: Float32Array,
  columns: number,
  { bits, blockSize }: Quantization,
): QuantizedRows {
  const rows = values.length / columns;
  const blocks = Math.ceil(columns / blockSize);
  const codes = new Uint8Array((rows * blocks * blockSize * bits) / 8);
  const scales = new Float32Array(rows * blocks);
  const block = new Float64Array(blockSize);
  const largest = 2 ** (bits - 1) - 1;
  for (let row = 0, at = 0; row < rows; row++)
    for (let b = 0; b < blocks; b++, at++) {
      const start = row * columns + b * blockSize;
      const count = Math.min(blockSize, columns - b * blockSize);
      for (let i = 0; i < blockSize; i++) block[i] = i < count ? values[start + i]! : 0;
      const scale = scaleOf(block, places[bits], largest);
      scales[at] = scale;
      encode(block, scale, largest);
      if (bits === 8) codes.set(block, at * blockSize);
      else
        for (let i = 0, place = (at * blockSize) / 2; i < blockSize; i += 2, place++)
          codes[place] = block[i]! | (block[i + 1]! << 4);
    }
  return { codes, scales };
}

/**
 * x + ROUND − ROUND is x rounded to an integer, for |x| < 2⁵¹: the sum has no bits left for a fraction. This is much
 * faster than `Math.round` or a conversion to an integer.
 */
const ROUND = 1.5 * 2 ** 52;

/** The scale of a block, rounded to float32. `largest` is the largest code, relative to the zero. */
function scaleOf(block: Float64Array, places: Float64Array, largest: number): number {
  const extreme = extremeOf(block);
  if (extreme === 0) return 0;
  const zero = largest + 1;
  let best = -1;
  let scale = 0;
  for (let p = 0; p < places.length; p++) {
    const inverse = places[p]! / extreme;
    let products = 0;
    let squares = 0;
    for (let i = 0; i < block.length; i++) {
      const x = block[i]!;
      let code = x * inverse + ROUND - ROUND;
      if (code > largest) code = largest;
      if (code < -zero) code = -zero;
      products += x * code;
      squares += code * code;
    }
    // Σ (x − s·q)² = Σ x² − (Σ x·q)² / Σ q² at the best s.
    const gain = (products * products) / squares;
    if (gain <= best) continue;
    best = gain;
    scale = products / squares;
  }
  return Math.fround(scale);
}

/** Replaces each value by the nearest code. */
function encode(block: Float64Array, scale: number, largest: number): void {
  const zero = largest + 1;
  if (scale === 0) block.fill(zero);
  else
    for (let i = 0; i < block.length; i++) {
      let code = block[i]! / scale + ROUND - ROUND;
      if (code > largest) code = largest;
      if (code < -zero) code = -zero;
      block[i] = code + zero;
    }
}

/** The value with the largest magnitude, with its sign. @throws RangeError for a value that is not finite */
function extremeOf(block: Float64Array): number {
  let extreme = 0;
  let size = 0;
  let total = 0;
  for (let i = 0; i < block.length; i++) {
    const x = block[i]!;
    const magnitude = Math.abs(x);
    total += magnitude;
    if (magnitude <= size) continue;
    size = magnitude;
    extreme = x;
  }
  if (!Number.isFinite(total)) throw new RangeError("expected finite numbers, got others");
  return extreme;
}
