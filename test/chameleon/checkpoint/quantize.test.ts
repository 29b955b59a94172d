/** @file Quantized matrices: the layout that onnxruntime reads, and the quantization error. */
import { Tensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import {
  blockSizes,
  isQuantizable,
  quantizationConfig,
  quantizationConfigSchema,
  quantizeRows,
  type StoredQuantization,
} from "../../../src/chameleon/checkpoint/quantize.ts";
import { exportOnnx, Graph, quantizedShapes } from "../../../src/graph/index.ts";
import { MICROSOFT } from "../../../src/graph/onnx-writer.ts";
import { operator } from "../../../src/graph/operator.ts";
import { Random } from "../../../src/random.ts";
import { float32, floats, Session } from "../../../src/runtime/session.ts";
import { dequantizeRows } from "../../fixtures/chameleon/kit.ts";

const forms: StoredQuantization[] = blockSizes.flatMap((blockSize) => [
  { bits: 4, blockSize },
  { bits: 8, blockSize },
]);

const normal = (name: string, size: number): Float32Array => {
  const random = Random.of(1, name);
  return Float32Array.from({ length: size }, () => random.normal(0, 0.02));
};

/** onnxruntime's float32 values of a quantized `[rows, columns]` matrix: its product with the unit matrix. */
async function asOnnxruntimeReads(
  { codes, scales }: { readonly codes: Uint8Array; readonly scales: Float32Array },
  [rows, columns]: readonly [number, number],
  form: StoredQuantization,
): Promise<Float32Array> {
  const { bits, blockSize } = form;
  const shapes = quantizedShapes(rows, columns, form);
  const matmul = operator("quantized matmul", {
    infer: () => ({ dtype: "float32", shape: [columns, rows] }),
    emit: (writer, inputs) =>
      writer.node("MatMulNBits", inputs, { K: columns, N: rows, bits, block_size: blockSize }, MICROSOFT),
  });
  const graph = new Graph();
  const x = graph.input("x", "float32", [columns, columns]);
  const codesInput = graph.input("codes", "uint8", shapes.codes);
  const scalesInput = graph.input("scales", "float32", shapes.scales);
  const session = await Session.create(exportOnnx({ y: matmul([x, codesInput, scalesInput], {}) }), {
    threads: 1,
  });
  const unit = Float32Array.from({ length: columns ** 2 }, (_, i) => (i % (columns + 1) === 0 ? 1 : 0));
  const { y } = await session.run({
    x: float32(unit, [columns, columns]),
    codes: new Tensor("uint8", codes, shapes.codes),
    scales: float32(scales, shapes.scales),
  });
  await session.release();
  const transposed = floats(y!);
  return Float32Array.from(
    { length: rows * columns },
    (_, i) => transposed[(i % columns) * rows + Math.floor(i / columns)]!,
  );
}

/** Adding 0 removes the sign of −0. */
const plus0 = (x: number): number => x + 0;

describe.each(forms)("$bits bits, blocks of $blockSize", (form) => {
  const { bits, blockSize } = form;
  const cases: [number, number][] = [
    [3, 32],
    [5, 96],
    [4, 70],
    [2, 24],
  ];
  test.each(cases)("onnxruntime decodes %i × %i matrices as we do", async (rows, columns) => {
    const blocks = Math.ceil(columns / blockSize);
    const random = Random.of(2, "codes", bits, columns);
    // All codes, in random order, and scales of both signs.
    const codes = Uint8Array.from({ length: (rows * blocks * blockSize * bits) / 8 }, () =>
      random.integer(0, 255),
    );
    const scales = Float32Array.from({ length: rows * blocks }, () => random.normal());
    const ours = dequantizeRows({ codes, scales }, columns, form);
    expect(ours.map(plus0)).toEqual(await asOnnxruntimeReads({ codes, scales }, [rows, columns], form));
  });

  test("onnxruntime's values are within the quantization step of the original ones", async () => {
    const [rows, columns] = [6, 70];
    const values = normal("near", rows * columns);
    const quantized = quantizeRows(values, columns, form);
    const read = await asOnnxruntimeReads(quantized, [rows, columns], form);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const [x, y] = [values[row * columns + column]!, read[row * columns + column]!];
        const step = Math.abs(
          quantized.scales[row * Math.ceil(columns / blockSize) + Math.floor(column / blockSize)]!,
        );
        // Half a step; the extreme may be clipped by up to 0.8 of one, at either end.
        const allowed = Math.abs(x) > (2 ** (bits - 1) - 1.5) * step ? 1.3 : 0.5001;
        expect(Math.abs(x - y)).toBeLessThanOrEqual(allowed * step);
      }
  });

  test("no scale on a fine grid is much better", () => {
    const blocks = 24;
    const values = normal("grid", blocks * blockSize);
    const zero = 2 ** (bits - 1);
    const errorOf = (block: Float32Array, scale: number) =>
      block.reduce((sum, x) => {
        const code = Math.max(-zero, Math.min(zero - 1, Math.round(x / scale)));
        return sum + (x - scale * code) ** 2;
      }, 0);
    let [ours, best, plain] = [0, 0, 0];
    for (let b = 0; b < blocks; b++) {
      const block = values.slice(b * blockSize, (b + 1) * blockSize);
      const read = dequantizeRows(quantizeRows(block, blockSize, form), blockSize, form);
      ours += block.reduce((sum, x, i) => sum + (x - read[i]!) ** 2, 0);
      const extreme = Math.max(...block.map(Math.abs));
      const errors = Array.from({ length: 400 }, (_, i) => {
        const scale = (extreme / zero) * (0.75 + i / 800);
        return Math.min(errorOf(block, scale), errorOf(block, -scale));
      });
      best += Math.min(...errors);
      plain += errorOf(block, extreme / (zero - 1));
    }
    expect(ours).toBeLessThan(best * (bits === 4 ? 1.05 : 1.6));
    expect(ours).toBeLessThan(plain * (bits === 4 ? 0.85 : 1.05));
  });

  test("blocks of zeros, of one value, and of the smallest numbers", () => {
    const block = new Float32Array(3 * blockSize);
    block.fill(-0.3, blockSize, 2 * blockSize).fill(1e-45, 2 * blockSize);
    const quantized = quantizeRows(block, 3 * blockSize, form);
    const read = dequantizeRows(quantized, 3 * blockSize, form);
    expect(quantized.scales[0]).toBe(0);
    expect(read.slice(0, blockSize).map(plus0)).toEqual(new Float32Array(blockSize));
    for (const x of read.slice(blockSize, 2 * blockSize)) expect(x).toBeCloseTo(-0.3, 7);
    for (const x of read.slice(2 * blockSize)) expect(Math.abs(x)).toBeLessThan(1e-43);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%d is refused", (bad) => {
    const values = normal("bad", 2 * blockSize);
    values[40] = bad;
    expect(() => quantizeRows(values, blockSize, form)).toThrow(RangeError);
  });
});

test("in 4 bits the earlier of two neighbours is the low half of a byte", () => {
  const values = new Float32Array(32);
  values.set([-8, 7, 3, -1]);
  const { codes, scales } = quantizeRows(values, 32, { bits: 4, blockSize: 32 });
  expect(scales).toEqual(Float32Array.of(1));
  expect([...codes.slice(0, 3)]).toEqual([0xf0, 0x7b, 0x88]);
});

test("the decoder's matrices and the head are quantized, nothing else", () => {
  const names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"].concat([
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
  ]);
  for (const name of names) expect(isQuantizable(`model.layers.31.${name}.weight`)).toBe(true);
  expect(isQuantizable("lm_head.weight")).toBe(true);
  for (const name of [
    "model.embed_tokens.weight",
    "model.norm.weight",
    "model.layers.0.self_attn.q_norm.weight",
    "model.layers.0.input_layernorm.weight",
    "model.vqmodel.encoder.mid.attn_1.q.weight",
  ])
    expect(isQuantizable(name)).toBe(false);
});

test("a configuration of another method is refused by name", () => {
  for (const form of forms)
    expect(quantizationConfigSchema.parse(quantizationConfig(form))).toEqual(quantizationConfig(form));
  const ours = quantizationConfig({ bits: 4, blockSize: 32 });
  const found = quantizationConfigSchema.safeParse({ ...ours, quant_method: "gptq" });
  expect(found.error!.issues[0]!.message).toContain('expected "xprompt", got "gptq"');
  expect(quantizationConfigSchema.safeParse({ ...ours, bits: 3 }).success).toBe(false);
  expect(quantizationConfigSchema.safeParse({ ...ours, block_size: 48 }).success).toBe(false);
});
