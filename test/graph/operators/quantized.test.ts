/** @file Linear layers with quantized weights, compared with PyTorch; see test/fixtures/quantized/make.py. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  Graph,
  gradients,
  multiply,
  type Quantization,
  quantizedLinear,
  quantizedShapes,
  sum,
} from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, evaluate64, expectClose, type NdArray, random } from "../kit.ts";

type Packed = { readonly shape: readonly number[]; readonly data: readonly number[] };
type Case = Quantization & Readonly<Record<"codes" | "scales" | "x" | "y" | "dy" | "dx", Packed>>;

const cases = JSON.parse(
  readFileSync(new URL("../../fixtures/quantized/reference.json", import.meta.url), "utf8"),
) as readonly Case[];
const unpack = ({ shape, data }: Packed): NdArray => array(shape, data);

/** y and the gradient of x; codes and scales are initializers of the model, like frozen weights. */
async function run({ bits, blockSize, codes, scales, x, dy }: Case) {
  const graph = new Graph();
  const given = graph.input("x", "float32", x.shape);
  const y = quantizedLinear(
    given,
    graph.parameter("codes", codes.shape, "uint8"),
    graph.parameter("scales", scales.shape),
    { bits, blockSize },
  );
  const weighed = multiply(y, graph.input("dy", "float32", y.shape));
  const [dx] = gradients(sum(weighed, undefined, { keep: false }), [given]);
  const weights = new Map([
    ["codes", { dtype: "uint8" as const, shape: codes.shape, data: Uint8Array.from(codes.data) }],
    ["scales", { dtype: "float32" as const, shape: scales.shape, data: Float32Array.from(scales.data) }],
  ]);
  return evaluate({ y, dx: dx! }, { x: unpack(x), dy: unpack(dy) }, weights);
}

describe.each(cases)("$bits bits in blocks of $blockSize, codes $codes.shape", (each) => {
  test("is PyTorch's product and gradient", async () => {
    const { y, dx } = await run(each);
    expectClose(y, unpack(each.y), { what: "y" });
    expectClose(dx, unpack(each.dx), { what: "dx" });
  });

  test("the gradient is the finite differences'", async () => {
    const { x, codes, scales, bits, blockSize } = each;
    await checkGradient(({ x, codes, scales }) => quantizedLinear(x, codes, scales, { bits, blockSize }), {
      x: { shape: x.shape, values: x.data },
      codes: { shape: codes.shape, values: codes.data, dtype: "uint8" },
      scales: { shape: scales.shape, values: scales.data, fixed: true },
    });
  });
});

test("any x is off by its rounding to 8 bits at most", async () => {
  const [each] = cases;
  const x = random(each!.x.shape, 7, [-1, 1]);
  const graph = new Graph();
  const feeds = { x, codes: unpack(each!.codes), scales: unpack(each!.scales) };
  const [given, codes, scales] = (["x", "codes", "scales"] as const).map((name) =>
    graph.input(name, name === "codes" ? "uint8" : "float32", feeds[name].shape),
  );
  const y = quantizedLinear(given!, codes!, scales!, each!);
  const { y: computed } = await evaluate({ y }, feeds);
  const [exact] = evaluate64([y], feeds);
  expectClose(computed, exact!, { relative: 1e-2 });
});

test("weights are frozen: asking for their gradient is an error that says so", () => {
  const graph = new Graph();
  const { codes, scales } = quantizedShapes(3, 40, { bits: 4, blockSize: 32 });
  expect([codes, scales]).toEqual([
    [3, 2, 16],
    [3, 2],
  ]);
  const held = graph.parameter("scales", scales);
  const x = graph.input("x", "float32", [2, 40]);
  const y = quantizedLinear(x, graph.parameter("codes", codes, "uint8"), held, { bits: 4, blockSize: 32 });
  expect(() => gradients(sum(y, undefined, { keep: false }), [held])).toThrow(
    "gradients: parameter scales [3, 2] gets no gradient from quantizedLinear",
  );
});

test("refuses codes and scales that do not fit the rows", () => {
  const graph = new Graph();
  const given = (name: string, dtype: "uint8" | "float32", ...shape: number[]) =>
    graph.input(name, dtype, shape);
  const x = given("x", "float32", 2, 40);
  const options = { bits: 4, blockSize: 32 } as const;
  expect(() =>
    quantizedLinear(x, given("one", "uint8", 3, 1, 16), given("s", "float32", 3, 1), options),
  ).toThrow(
    "quantizedLinear: expected codes uint8 [3, 2, 16] and scales float32 [3, 2] for width 40, got uint8 [3, 1, 16] and float32 [3, 1]",
  );
  expect(() =>
    quantizedLinear(x, given("f", "float32", 3, 2, 16), given("t", "float32", 3, 2), options),
  ).toThrow("got float32 [3, 2, 16]");
});
