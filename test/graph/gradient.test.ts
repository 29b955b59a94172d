import { describe, expect, test } from "vitest";
import {
  add,
  attention,
  conv2d,
  exp,
  Graph,
  gradients,
  layerNorm,
  matmul,
  max,
  multiply,
  power,
  rmsNorm,
  silu,
  slice,
  softmax,
  split,
  stopGradient,
  subtract,
  sum,
  type Tensor,
  tanh,
  tokenLoss,
} from "../../src/graph/index.ts";
import { array, differences, evaluate, evaluate64, expectClose, random, total } from "./kit.ts";

const input = (graph: Graph, name: string, ...shape: (number | string)[]) =>
  graph.input(name, "float32", shape);

describe("gradients", () => {
  test("of the loss itself is 1, and of a tensor on the way what flows through it", async () => {
    const graph = new Graph();
    const x = input(graph, "x", 3);
    const hidden = tanh(x);
    const loss = total([multiply(hidden, hidden)]);
    const [dLoss, dHidden] = gradients(loss, [loss, hidden]);
    const feeds = { x: random([3]) };
    const made = await evaluate({ dLoss: dLoss!, dHidden: dHidden! }, feeds);
    expect([...made.dLoss.data]).toEqual([1]);
    expectClose(made.dHidden, { shape: [3], data: feeds.x.data.map((each) => 2 * Math.tanh(each)) });
  });

  test("of targets that depend on each other are total, not partial", async () => {
    const graph = new Graph();
    const x = input(graph, "x", 2);
    const y = multiply(x, 3);
    const [dx, dy] = gradients(total([multiply(x, y)]), [x, y]);
    const made = await evaluate({ dx: dx!, dy: dy! }, { x: array([2], [1, -2]) });
    expect([...made.dx.data]).toEqual([6, -12]);
    expect([...made.dy.data]).toEqual([1, -2]);
  });

  test("add up over many uses of a tensor, near and far from the loss", async () => {
    const graph = new Graph();
    const x = input(graph, "x", 2, 3);
    let y = x;
    for (let i = 0; i < 4; i++) y = add(multiply(tanh(y), 0.5), multiply(x, y));
    const loss = total([y, multiply(x, x)]);
    const [dx] = gradients(loss, [x]);
    const feeds = { x: random([2, 3]) };
    expectClose(evaluate64([dx!], feeds)[0]!, differences(loss, "x", feeds), { relative: 2e-7 });
  });

  test("include only what the targets need", () => {
    const graph = new Graph();
    const [mask, x] = [input(graph, "mask", "time", 3), input(graph, "x", 2, 3)];
    // A slice of a symbolic axis has no gradient; none is requested here.
    const loss = total([multiply(slice(mask, 0, 0, 2), x)]);
    expect(gradients(loss, [x])).toHaveLength(1);
    expect(() => gradients(loss, [mask])).toThrow("gradient of slice: expected known dimensions, got [time]");
  });

  test("are found where only one of several outputs is used", async () => {
    const graph = new Graph();
    const x = input(graph, "x", 2, 5);
    const [, middle] = split(x, 1, [1, 2, 2]);
    const [dx] = gradients(total([middle!]), [x]);
    const { y } = await evaluate({ y: dx! }, { x: random([2, 5]) });
    expect([...y.data]).toEqual([0, 1, 1, 0, 0, 0, 1, 1, 0, 0]);
  });

  test("want a scalar loss", () => {
    const x = input(new Graph(), "x", 1);
    expect(() => gradients(x, [x])).toThrow("gradients: expected a scalar loss, got shape [1]");
  });

  test("refuse a tensor that the loss does not depend on", () => {
    const graph = new Graph();
    const [x, y] = [input(graph, "x", 2), input(graph, "y", "batch", 2)];
    const loss = total([x]);
    expect(() => gradients(loss, [x, y])).toThrow(
      "gradients: the loss does not depend on input y [batch, 2]",
    );
    expect(() => gradients(loss, [graph.parameter("w", [3])])).toThrow("depend on parameter w [3]");
    expect(() => gradients(loss, [tanh(x)])).toThrow("depend on application [2]");
    expect(() => gradients(total([stopGradient(x)]), [x])).toThrow("depend on input x [2]");
  });

  test("name the layer and the operator in whose gradient something is wrong", () => {
    const graph = new Graph();
    const x = input(graph, "x", "time", 3);
    const loss = graph.within("layers.3", () => total([slice(x, 0, 0, 2)]));
    expect(() => gradients(loss, [x])).toThrow(
      "gradient of layers.3.slice: gradient of slice: expected known",
    );
  });
});

describe("a gradient of a gradient", () => {
  const weight = () => random([2, 2, 3, 3], 5, [-0.4, 0.4]);
  const functions: [string, (x: Tensor, graph: Graph) => Tensor, readonly number[]][] = [
    ["tanh(x)² x", (x) => multiply(power(tanh(x), 2), x), [2, 3]],
    ["exp and division by sums", (x) => multiply(multiply(exp(x), x), power(sum(exp(x), -1), -1)), [2, 3]],
    ["softmax", (x) => multiply(softmax(x), x), [2, 4]],
    ["silu and broadcasting", (x) => multiply(silu(x), sum(x, 0)), [3, 2]],
    ["products of matrices", (x) => matmul(matmul(x, x, { transposeY: true }), x, { scale: 0.5 }), [2, 3]],
    ["max", (x) => multiply(max(x, -1), power(x, 3)), [2, 3]],
    [
      "convolution",
      (x, graph) => {
        const w = graph.constant(Float32Array.from(weight().data), [2, 2, 3, 3]);
        return power(conv2d(x, w, undefined, { stride: 2, padding: [1, 0, 1, 1] }), 3);
      },
      [1, 2, 4, 5],
    ],
  ];

  test.each(functions)("of %s", async (_name, f, shape) => {
    const graph = new Graph();
    const x = input(graph, "x", ...shape);
    const [slope] = gradients(total([f(x, graph)]), [x]);
    const direction = input(graph, "direction", ...shape);
    const along = total([multiply(slope!, direction)]);
    const [curvature] = gradients(along, [x]);
    const feeds = { x: random(shape, 1), direction: random(shape, 2) };
    const [exact] = evaluate64([curvature!], feeds);
    expectClose(exact!, differences(along, "x", feeds), { relative: 2e-7 });
    expectClose((await evaluate({ curvature: curvature! }, feeds)).curvature, exact!, { relative: 1e-5 });
  });

  test("is refused where an operator keeps more than its value for its gradient", () => {
    const graph = new Graph();
    const x = input(graph, "x", 2, 3);
    const ones = graph.constant([1, 1, 1]);
    const heads = input(graph, "heads", 1, 2, 3, 4);
    const ids = graph.input("ids", "int64", [2]);
    const twice = (y: Tensor, x: Tensor) => {
      const [slope] = gradients(total([multiply(y, y)]), [x]);
      return gradients(total([multiply(slope!, slope!)]), [x]);
    };
    const once = (name: string) => `gradients: ${name} can be differentiated once only`;
    expect(() => twice(rmsNorm(x, ones, 1e-5), x)).toThrow(once("rmsNorm"));
    expect(() => twice(layerNorm(x, ones, ones, 1e-5), x)).toThrow(once("standardize"));
    expect(() => twice(attention(heads, heads, heads), heads)).toThrow(once("attention"));
    expect(() => twice(tokenLoss(x, ids).nll, x)).toThrow(once("crossEntropy"));
  });
});

test("the straight-through estimator has the gradient of the replaced value", async () => {
  const graph = new Graph();
  const x = input(graph, "x", 3);
  const rounded = add(x, stopGradient(subtract(graph.constant([1, 0, -1]), x)));
  const [dx] = gradients(total([power(rounded, 2)]), [x]);
  const { y } = await evaluate({ y: dx! }, { x: array([3], [0.7, 0.2, -1.4]) });
  expect([...y.data]).toEqual([2, 0, -2]);
});
