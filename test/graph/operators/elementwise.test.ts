import { describe, expect, test } from "vitest";
import {
  abs,
  add,
  cast,
  clip,
  divide,
  equal,
  exp,
  fill,
  Graph,
  gradients,
  less,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  power,
  reciprocal,
  relu,
  sigmoid,
  sign,
  silu,
  sqrt,
  stopGradient,
  subtract,
  type Tensor,
  tanh,
  where,
} from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, expectClose, type Leaf, total } from "../kit.ts";

const anywhere = [-2, 2] as const;
const positive = [0.3, 3] as const;
const functions: [string, (x: Tensor) => Tensor, readonly [number, number]][] = [
  ["negate", negate, anywhere],
  ["exp", exp, anywhere],
  ["log", log, positive],
  ["sqrt", sqrt, positive],
  ["reciprocal", reciprocal, positive],
  ["reciprocal of negative numbers", reciprocal, [-3, -0.3]],
  ["abs", abs, anywhere],
  ["tanh", tanh, anywhere],
  ["sigmoid", sigmoid, [-8, 8]],
  ["relu", relu, [-3, 3]],
  ["silu", silu, [-8, 8]],
  ["square", (x) => power(x, 2), anywhere],
  ["power 1.7", (x) => power(x, 1.7), positive],
  ["power −0.5", (x) => power(x, -0.5), positive],
  ["clip", (x) => clip(x, -0.7, 0.4), anywhere],
];

test.each(functions)("%s", async (_name, f, range) => {
  await checkGradient(({ x }) => f(x), { x: { shape: [2, 3, 4], range } });
  await checkGradient(({ x }) => f(x), { x: { shape: [], range } }, { seed: 2 });
});

const pairs: [string, typeof add][] = [
  ["add", add],
  ["subtract", subtract],
  ["multiply", multiply],
  ["divide", divide],
  ["maximum", maximum],
  ["minimum", minimum],
];
const broadcasts: [readonly number[], readonly number[]][] = [
  [
    [2, 3],
    [2, 3],
  ],
  [
    [2, 3, 4],
    [3, 1],
  ],
  [[4], [2, 3, 4]],
  [
    [2, 1, 4],
    [1, 3, 1],
  ],
  [[], [2, 3]],
  [[2, 3], []],
  [
    [1, 1],
    [1, 4],
  ],
];

describe.each(pairs)("%s", (_name, f) => {
  test.each(broadcasts)("of %o and %o", async (xShape, yShape) => {
    const leaves: Record<"x" | "y", Leaf> = { x: { shape: xShape }, y: { shape: yShape, range: positive } };
    await checkGradient(({ x, y }) => f(x, y), leaves);
  });

  test("with a number on either side", async () => {
    const x = { shape: [2, 3], range: positive };
    await checkGradient(({ x }) => f(x, 1.5), { x });
    await checkGradient(({ x }) => f(1.5, x), { x });
  });
});

test("a tensor used twice gets the gradients of both uses", async () => {
  await checkGradient(({ x }) => multiply(x, x), { x: [3, 2] });
  await checkGradient(({ x }) => divide(add(x, x), add(multiply(x, x), 1)), { x: [3, 2] });
  await checkGradient(({ x, y }) => [multiply(x, y), add(x, y), tanh(x)], { x: [3, 1], y: [1, 2] });
});

describe("where", () => {
  const condition: Leaf = { shape: [2, 3], values: [1, 0, 0, 1, 1, 0], dtype: "bool" };

  test("of equal shapes", async () => {
    const leaves = { condition, x: [2, 3], y: [2, 3] };
    await checkGradient(({ condition, x, y }) => where(condition, x, y), leaves);
  });

  test("with each operand broadcast", async () => {
    const leaves = { condition, x: [4, 1, 3], y: [2, 1] };
    await checkGradient(({ condition, x, y }) => where(condition, x, y), leaves);
    await checkGradient(({ condition, x }) => where(condition, x, 2), { condition, x: [2, 3] });
    await checkGradient(({ condition, x }) => where(condition, -1, x), { condition, x: [1] });
  });

  test("ignores the value that is not chosen, finite or not", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [2, 3]);
    const hidden = where(graph.input("condition", "bool", [2, 3]), x, Number.NEGATIVE_INFINITY);
    const feeds = { x: array([2, 3], [1, 2, 3, 4, 5, 6]), condition: array([2, 3], condition.values!) };
    const { y } = await evaluate({ y: exp(hidden) }, feeds);
    expectClose(y, array([2, 3], [Math.E, 0, 0, Math.exp(4), Math.exp(5), 0]));
  });

  test("refuses a condition that is not bool", () => {
    const x = new Graph().input("x", "float32", [2]);
    expect(() => where(x, x, x)).toThrow("where: expected a bool condition, got float32");
  });
});

test("comparisons give booleans", async () => {
  const graph = new Graph();
  const [x, y] = ["x", "y"].map((name) => graph.input(name, "float32", [4])) as [Tensor, Tensor];
  const feeds = { x: array([4], [1, 2, 3, -1]), y: array([4], [2, 2, 1, -1]) };
  const outputs = { less: less(x, y), equal: equal(x, y) };
  expect(outputs.less.dtype).toBe("bool");
  const made = await evaluate(outputs, feeds);
  expect([...made.less.data]).toEqual([1, 0, 0, 0]);
  expect([...made.equal.data]).toEqual([0, 1, 0, 1]);
});

describe("where a function has a corner", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [3]);
  const slope = async (y: Tensor, values: number[]) => {
    const [dx] = gradients(total([y]), [x]);
    return [...(await evaluate({ dx: dx! }, { x: array([3], values) })).dx.data];
  };

  test("abs and sign have gradient 0 at 0", async () => {
    expect(await slope(abs(x), [-2, 0, 3])).toEqual([-1, 0, 1]);
    expect((await slope(sign(x), [-2, 0, 3])).map(Math.abs)).toEqual([0, 0, 0]);
  });

  test("maximum and minimum send the gradient to the first operand where both are equal", async () => {
    expect(await slope(maximum(x, 1), [0, 1, 2])).toEqual([0, 1, 1]);
    expect(await slope(maximum(1, x), [0, 1, 2])).toEqual([0, 0, 1]);
    expect(await slope(minimum(x, 1), [0, 1, 2])).toEqual([1, 1, 0]);
    expect(await slope(minimum(1, x), [0, 1, 2])).toEqual([1, 0, 0]);
  });

  test("clip passes the gradient inside its limits only", async () => {
    expect(await slope(clip(x, -1, 1), [-1.5, 0.5, 1.5])).toEqual([0, 1, 0]);
  });
});

test("stopGradient: the straight-through estimator gives y and the gradient of x", async () => {
  const graph = new Graph();
  const [x, y] = ["x", "y"].map((name) => graph.input(name, "float32", [2])) as [Tensor, Tensor];
  const through = add(x, stopGradient(subtract(y, x)));
  const [dx] = gradients(total([multiply(through, through)]), [x]);
  const feeds = { x: array([2], [0.25, -1]), y: array([2], [1, -2]) };
  const made = await evaluate({ through, dx: dx! }, feeds);
  expect([...made.through.data]).toEqual([1, -2]);
  expect([...made.dx.data]).toEqual([2, -4]);
  expect(() => gradients(total([through]), [y])).toThrow("the loss does not depend on input y [2]");
});

describe("cast", () => {
  test("to integers, booleans and back", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [4]);
    const whole = cast(x, "int64");
    const outputs = { whole, bool: cast(x, "bool"), back: cast(whole, "float32"), half: cast(x, "float16") };
    expect(Object.values(outputs).map(({ dtype }) => dtype)).toEqual(["int64", "bool", "float32", "float16"]);
    const {
      whole: w,
      bool,
      back,
    } = await evaluate(
      { whole, bool: outputs.bool, back: outputs.back },
      { x: array([4], [-1.5, 0, 0.5, 2.9]) },
    );
    expect([...w.data]).toEqual([-1, 0, 0, 2]);
    expect([...bool.data]).toEqual([1, 0, 1, 1]);
    expect([...back.data]).toEqual([-1, 0, 0, 2]);
    expect(cast(x, "float32")).toBe(x);
  });

  test("passes gradients between floating-point types", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [3]);
    const half = cast(x, "float16");
    const [dx] = gradients(total([multiply(cast(multiply(half, half), "float32"), 3)]), [x]);
    expect(dx!.dtype).toBe("float32");
    const { y } = await evaluate({ y: dx! }, { x: array([3], [0.5, -1.25, 2]) });
    expect([...y.data]).toEqual([3, -7.5, 12]);
  });

  test("passes no gradient through integers", () => {
    const x = new Graph().input("x", "float32", [3]);
    expect(() => gradients(total([cast(cast(x, "int64"), "float32")]), [x])).toThrow("does not depend on");
  });
});

test("fill takes the shape that its tensor has when the graph runs", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["batch", 2]);
  const outputs = {
    y: fill(x, 0.5),
    low: fill(x, Number.NEGATIVE_INFINITY),
    high: fill(x, Number.POSITIVE_INFINITY),
  };
  for (const batch of [1, 3]) {
    const made = await evaluate(outputs, { x: array([batch, 2], Array(batch * 2).fill(7)) });
    expectClose(made.y, array([batch, 2], Array(batch * 2).fill(0.5)));
    expect([made.low.data[0], made.high.data[0]]).toEqual([
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ]);
  }
});

test("refuses operands of different types and shapes that do not broadcast", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 3]);
  expect(() => add(x, graph.input("ids", "int64", [2, 3]))).toThrow(
    "add: expected equal types, got float32 and int64",
  );
  expect(() => add(x, graph.input("y", "float32", [2]))).toThrow(
    "add: expected shapes that broadcast, got [2, 3] and [2]",
  );
  expect(() => add(x, graph.input("z", "float32", ["batch", 3]))).toThrow("[2, 3] and [batch, 3]");
});
