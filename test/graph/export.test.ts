import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  add,
  attention,
  concat,
  type Dim,
  dataFolder,
  embedding,
  exportOnnx,
  Graph,
  gradients,
  type Initializer,
  linear,
  multiply,
  parametersBehind,
  reshape,
  rmsNorm,
  rope,
  rotaryTables,
  type Scope,
  silu,
  split,
  type Tensor,
  tanh,
  tokenLoss,
  transpose,
} from "../../src/graph/index.ts";
import { float16ToFloat32, float32ToFloat16 } from "../../src/runtime/float16.ts";
import { float32, floats, Session } from "../../src/runtime/session.ts";
import { array, evaluate, evaluate64, expectClose, type NdArray, random, total } from "./kit.ts";

const WIDTH = 8;
const HEADS = 2;
const VOCABULARY = 11;

/** A small decoder with a cache; ids, positions and past keys have any batch size and length by default. */
function decoder(graph: Graph, time: Dim = "time", past: Dim = "past") {
  const ids = graph.input("ids", "int64", ["batch", time]);
  const positions = graph.input("positions", "int64", ["batch", time]);
  const w = graph.scope();
  const tables = rotaryTables(graph, 32, WIDTH / HEADS, { theta: 100 });
  const heads = (x: Tensor) => transpose(reshape(x, ["batch", time, HEADS, WIDTH / HEADS]), [0, 2, 1, 3]);
  const weight = (w: Scope, name: string, ...shape: number[]) => w.parameter(`${name}.weight`, shape);
  let x = embedding(ids, weight(w, "embed", VOCABULARY, WIDTH));
  const cache: Tensor[] = [];
  for (const layer of [0, 1])
    x = w.in(`layers.${layer}`, (w) => {
      const normed = rmsNorm(x, weight(w, "norm", WIDTH), 1e-5);
      const joined = linear(normed, weight(w, "qkv", 3 * WIDTH, WIDTH));
      const [q, k, v] = split(joined, -1, [WIDTH, WIDTH, WIDTH]).map(heads) as [Tensor, Tensor, Tensor];
      const cached = (name: string) =>
        graph.input(`past.${layer}.${name}`, "float32", ["batch", HEADS, past, WIDTH / HEADS]);
      const keys = concat([cached("key"), rope(k, positions, tables)], 2);
      const values = concat([cached("value"), v], 2);
      cache.push(keys, values);
      const mixed = transpose(attention(rope(q, positions, tables), keys, values), [0, 2, 1, 3]);
      return add(x, silu(linear(reshape(mixed, ["batch", time, WIDTH]), weight(w, "out", WIDTH, WIDTH))));
    });
  return { logits: linear(x, weight(w, "head", VOCABULARY, WIDTH)), cache };
}

function decoderFeeds(graph: Graph, batch: number, time: number, past: number): Record<string, NdArray> {
  const feeds: Record<string, NdArray> = {};
  for (const [name, { shape }] of graph.parameters) feeds[name] = random(shape as number[], name.length);
  const whole = (of: (i: number) => number) =>
    array(
      [batch, time],
      Array.from({ length: batch * time }, (_, i) => of(i)),
    );
  feeds.ids = whole((i) => (i * 7) % VOCABULARY);
  feeds.positions = whole((i) => past + (i % time));
  for (const layer of [0, 1])
    for (const name of ["key", "value"])
      feeds[`past.${layer}.${name}`] = random([batch, HEADS, past, WIDTH / HEADS], layer + past);
  return feeds;
}

/** The ONNX operators in a model, found by the names of its nodes (`path/Type.number`). */
const nodesOf = (model: Uint8Array): string[] =>
  [
    ...Buffer.from(model)
      .toString("latin1")
      .matchAll(/\/([A-Z]\w+)\.\d+/g),
  ]
    .map(([, type]) => type!)
    .sort();

test("a decoder runs with any batch, length and past, as the declared shapes say", async () => {
  const graph = new Graph();
  const { logits, cache } = decoder(graph);
  expect(logits.shape).toEqual(["batch", "time", VOCABULARY]);
  expect(cache[0]!.shape).toEqual(["batch", HEADS, "past+time", WIDTH / HEADS]);
  for (const [batch, time, past] of [
    [1, 1, 5],
    [2, 3, 0],
    [3, 4, 2],
  ] as const) {
    const feeds = decoderFeeds(graph, batch, time, past);
    const made = await evaluate({ logits, keys: cache[0]! }, feeds);
    const [exact, keys] = evaluate64([logits, cache[0]!], feeds);
    expectClose(made.logits, exact!, { relative: 1e-5 });
    expectClose(made.keys, keys!);
    expect(made.keys.shape).toEqual([batch, HEADS, past + time, WIDTH / HEADS]);
  }
});

describe("parameters", () => {
  const graph = new Graph();
  const { logits } = decoder(graph);
  const feeds = decoderFeeds(graph, 2, 3, 1);
  const weights = new Map(
    [...graph.parameters].map(([name, { shape }]) => [
      name,
      { dtype: "float32" as const, shape, data: Float32Array.from(feeds[name]!.data) },
    ]),
  );

  test("are inputs of the model without given weights, with the same values either way", async () => {
    const asInputs = await evaluate({ logits }, feeds);
    const asWeights = await evaluate({ logits }, feeds, weights);
    const some = await evaluate({ logits }, feeds, new Map([...weights].slice(0, 3)));
    expectClose(asWeights.logits, asInputs.logits, { relative: 1e-6 });
    expectClose(some.logits, asInputs.logits, { relative: 1e-6 });
    const session = await Session.create(exportOnnx({ logits }, { weights }), { threads: 1 });
    expect(session.inputNames.filter((name) => graph.parameters.has(name))).toEqual([]);
    expect(session.inputNames).toContain("past.1.value");
    await session.release();
  });

  test("of half precision have the same values as widened ones", async () => {
    const halves = [...weights].map(([name, { shape, data }]) => ({
      name,
      shape,
      data: float32ToFloat16(data),
    }));
    const widened = new Map(
      halves.map(({ name, shape, data }) => [
        name,
        { dtype: "float32" as const, shape, data: float16ToFloat32(data) },
      ]),
    );
    const expected = await evaluate({ logits }, feeds, widened);
    const ofBytes = new Map(
      halves.map(({ name, ...half }) => [name, { dtype: "float16" as const, ...half }]),
    );
    expect((await evaluate({ logits }, feeds, ofBytes)).logits).toEqual(expected.logits);
  });

  test("are listed in order of creation, those alone that an output needs", () => {
    expect(parametersBehind([logits]).map(({ source }) => "name" in source && source.name)).toEqual([
      ...graph.parameters.keys(),
    ]);
    const [, first] = [...graph.parameters.values()];
    expect(parametersBehind([tanh(first!)])).toEqual([first]);
  });

  test("of another shape or type are refused", () => {
    const wrong = (shape: number[], dtype: "float32" | "int64") =>
      exportOnnx(
        { logits },
        { weights: new Map([["head.weight", { dtype, shape, data: new Float32Array(88) }]]) },
      );
    expect(() => wrong([8, 11], "float32")).toThrow(
      "weight head.weight: expected float32 [11, 8], got float32 [8, 11]",
    );
    expect(() => wrong([11, 8], "int64")).toThrow("expected float32 [11, 8], got int64 [11, 8]");
  });
});

describe("an exported model", () => {
  test("contains only what its outputs depend on", async () => {
    const graph = new Graph();
    const [x, y] = ["x", "y"].map((name) => graph.input(name, "float32", ["n"])) as [Tensor, Tensor];
    graph.parameter("unused", [3]);
    multiply(tanh(y), x); // Dead code.
    const model = exportOnnx({ sum: add(x, add(x, 1)) });
    expect(nodesOf(model)).toEqual(["Add", "Add"]);
    const session = await Session.create(model, { threads: 1 });
    expect(session.inputNames).toEqual(["x"]);
    expect(session.outputNames).toEqual(["sum"]);
    await session.release();
  });

  test("computes a shared tensor once", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [2]);
    const model = exportOnnx({ a: add(tanh(x), 1), b: add(tanh(x), 2), again: add(tanh(x), 1) });
    expect(nodesOf(model)).toEqual(["Add", "Add", "Tanh"]);
    const [a, b] = split(x, 0, [1, 1]);
    expect(nodesOf(exportOnnx({ y: add(a!, b!) }))).toEqual(["Add", "Split"]);
  });

  test("omits what a gradient does not depend on: other gradients, and the loss itself", () => {
    const graph = new Graph();
    const [x, w] = [graph.input("x", "float32", [4, 3]), graph.parameter("w", [2, 3])];
    const [dw] = gradients(total([linear(x, w)]), [w]);
    expect(nodesOf(exportOnnx({ dw: dw! })).filter((type) => type === "Gemm")).toHaveLength(1);
  });

  test("the same graph gives the same bytes", () => {
    const build = () => {
      const graph = new Graph();
      const { logits } = decoder(graph, 3, 2);
      const targets = graph.input("targets", "int64", ["batch*3"]);
      const { nll } = tokenLoss(reshape(logits, ["batch*3", VOCABULARY]), targets);
      const loss = total([nll]);
      const parameters = [...graph.parameters.values()];
      const slopes = gradients(loss, parameters).map((slope, i) => [`gradient ${i}`, slope] as const);
      return exportOnnx({ loss, ...Object.fromEntries(slopes) });
    };
    const [first, second] = [build(), build()];
    expect(first.length).toBeGreaterThan(1000);
    expect(Buffer.compare(first, second)).toBe(0);
  });

  test("may give an input, a constant or one tensor twice as its outputs", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [2]);
    const made = await evaluate(
      { same: x, constant: graph.constant([1, 2]), a: tanh(x), b: tanh(x) },
      { x: array([2], [0, 3]) },
    );
    expect([...made.same.data]).toEqual([0, 3]);
    expect([...made.constant.data]).toEqual([1, 2]);
    expect(made.a).toEqual(made.b);
  });

  test("keeps user's names apart from its own, and refuses one name for two things", async () => {
    const graph = new Graph();
    const names = ["v0", "c0", "c1", "0", "1"];
    const inputs = names.map((name) => graph.input(name, "float32", [1]));
    const y = inputs.reduce((a, b) => add(multiply(a, 2), b));
    const feeds = Object.fromEntries(names.map((name) => [name, array([1], [1])]));
    expect((await evaluate({ y }, feeds)).y.data[0]).toBe(31);
    const twice = 'export: expected inputs, parameters and outputs of different names, got "v0" twice';
    expect(() => exportOnnx({ v0: y })).toThrow(twice);
    expect(() => exportOnnx({ y: add(inputs[0]!, graph.parameter("v0", [1])) })).toThrow(twice);
  });

  test("reads weights from a file beside it", () => {
    const w = new Graph().parameter("w", [2, 3]);
    const data = { folder: "models", file: "model.safetensors", offset: 128, length: 24 };
    const model = exportOnnx(
      { y: tanh(w) },
      { weights: new Map([["w", { dtype: "float32", shape: [2, 3], data }]]) },
    );
    const text = Buffer.from(model).toString("latin1");
    for (const part of ["location", "model.safetensors", "offset", "128", "length", "24"])
      expect(text).toContain(part);
  });

  test("carries the layer path in the names of its nodes", () => {
    const graph = new Graph();
    decoder(graph);
    const { logits } = decoder(graph);
    expect(Buffer.from(exportOnnx({ logits })).toString("latin1")).toContain("layers.1/RotaryEmbedding");
  });
});

test("constants of every type keep their values", async () => {
  const graph = new Graph();
  const long = Float32Array.from({ length: 100 }, (_, i) => i / 7);
  const made = await evaluate({
    float: graph.constant([0.1, -2, 3e8]),
    scalar: graph.constant(0.5),
    long: graph.constant(long, [10, 10]),
    ids: graph.constant(BigInt64Array.of(-1n, 4_000_000_000n)),
    bool: graph.constant(Uint8Array.of(1, 0, 1), [3, 1], "bool"),
    bytes: graph.constant(Uint8Array.of(7, 255)),
  });
  expect([...made.float.data]).toEqual([Math.fround(0.1), -2, 3e8]);
  expect([made.scalar.shape, ...made.scalar.data]).toEqual([[], 0.5]);
  expect([made.long.shape, ...made.long.data]).toEqual([[10, 10], ...long]);
  expect([...made.ids.data]).toEqual([-1, 4e9]);
  expect([made.bool.shape, ...made.bool.data]).toEqual([[3, 1], 1, 0, 1]);
  expect([...made.bytes.data]).toEqual([7, 255]);
});

describe("weights in files", () => {
  const folder = mkdtempSync(join(tmpdir(), "export-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const stretch = (path: string, offset: number): Initializer => ({
    dtype: "float32",
    shape: [2, 3],
    data: { folder: dirname(path), file: basename(path), offset, length: 24 },
  });

  const numbers = Float32Array.of(1, 2, 3, 4, 5, 6);
  test.each([
    ["float32", numbers],
    ["float16", float32ToFloat16(numbers)],
  ] as const)("of %s are read from where they lie, at any offset", async (dtype, { buffer }) => {
    const file = join(folder, `${dtype}.bin`);
    writeFileSync(file, new Uint8Array([...new Uint8Array(4), ...new Uint8Array(buffer)]));
    const graph = new Graph();
    const y = linear(graph.input("x", "float32", [1, 3]), graph.parameter("w", [2, 3]));
    const data = { folder, file: basename(file), offset: 4, length: buffer.byteLength };
    const weights = new Map<string, Initializer>([["w", { dtype, shape: [2, 3], data }]]);
    const session = await Session.create(exportOnnx({ y }, { weights }), {}, dataFolder(weights.values()));
    const { y: made } = await session.run({ x: float32(Float32Array.of(1, 10, 100), [1, 3]) });
    expect([...floats(made!)]).toEqual([321, 654]);
    await session.release();
  });

  test("lie in one folder, or all in memory", () => {
    const inMemory: Initializer = { dtype: "float32", shape: [1], data: Float32Array.of(1) };
    expect(dataFolder([inMemory])).toBeUndefined();
    expect(dataFolder([inMemory, stretch("/a/one", 0), stretch("/a/two", 0)])).toBe("/a");
    expect(() => dataFolder([stretch("/a/one", 0), stretch("/b/one", 0)])).toThrow(
      "export: expected weight files in one folder, got /a, /b",
    );
  });
});
