import { describe, expect, test } from "vitest";
import {
  add,
  fill,
  Graph,
  linear,
  matmul,
  mean,
  multiply,
  operator,
  parameterShapes,
  type Scope,
  ShapeError,
  slice,
  softmax,
  sum,
  type Tensor,
  tanh,
} from "../../src/graph/index.ts";

const input = (graph: Graph, name: string, ...shape: (number | string)[]) =>
  graph.input(name, "float32", shape);

describe("errors name the layer", () => {
  const model = (scope: Scope, build: (scope: Scope) => Tensor) =>
    scope.in("model", (scope) =>
      scope.in("layers.3", (scope) => scope.in("self_attn", (scope) => build(scope))),
    );

  test("where an operator does not fit", () => {
    const graph = new Graph();
    const x = input(graph, "x", "batch", 8);
    const wrong = () => model(graph.scope(), (w) => linear(x, w.parameter("weight", [8, 4])));
    expect(wrong).toThrow(
      new ShapeError(
        "model.layers.3.self_attn: matmul: expected matrices that multiply, got [batch, 8] and [8, 4]ᵀ",
        true,
      ),
    );
  });

  test("where something is wrong before any operator is applied", () => {
    const graph = new Graph();
    const x = input(graph, "x", "batch", 8);
    const places: [() => Tensor, string][] = [
      [() => softmax(x, 2), "expected an axis of a rank-2 tensor, got 2"],
      [() => mean(x, 0), "mean: axes: expected known dimensions, got [batch]"],
      [() => slice(x, 5, 0, 1), "expected an axis of a rank-2 tensor, got 5"],
      [() => graph.constant([1, 2, 3], [2, 2]), "constant: expected 4 values for [2, 2], got 3"],
    ];
    for (const [build, message] of places)
      expect(() => model(graph.scope(), build)).toThrow(
        new ShapeError(`model.layers.3.self_attn: ${message}`, true),
      );
  });

  test("where a weight is asked for twice with different shapes", () => {
    const w = new Graph().scope();
    model(w, (w) => w.parameter("weight", [2, 3]));
    expect(() => model(w, (w) => w.parameter("weight", [3, 2]))).toThrow(
      "parameter model.layers.3.self_attn.weight: expected float32 [2, 3] as before, got float32 [3, 2]",
    );
  });

  test("and the place is left again, whether its layer was built or not", () => {
    const graph = new Graph();
    const [x, y] = [input(graph, "x", 2), input(graph, "y", 3)];
    expect(() => graph.within("a", () => add(x, y))).toThrow("a: add:");
    graph.within("b", () => tanh(x));
    expect(() => add(x, y)).toThrow("graph: add:");
  });
});

describe("what was built before", () => {
  test("is not built again", () => {
    const graph = new Graph();
    const x = input(graph, "x", 2, 3);
    expect(tanh(x)).toBe(tanh(x));
    expect(add(x, 1)).toBe(add(x, 1));
    expect(sum(x, 1)).toBe(sum(x, -1));
    expect(matmul(x, x, { transposeY: true })).toBe(matmul(x, x, { transposeY: true, scale: 1 }));
    expect(graph.input("x", "float32", [2, 3])).toBe(x);
    expect(graph.parameter("w", [2])).toBe(graph.scope().parameter("w", [2]));
    expect(graph.constant([1, 2])).toBe(graph.constant(Float32Array.of(1, 2)));
    expect(graph.constant([-0])).not.toBe(graph.constant([0]));
  });

  test("is built again by another operator of the same name", () => {
    const named = (factor: number) =>
      operator("scaled", {
        infer: ([x]) => x!,
        emit: (onnx, [x]) => onnx.node("Mul", [x!, onnx.scalar(factor)]),
      });
    const [twice, thrice] = [named(2), named(3)];
    const x = input(new Graph(), "x", 2);
    expect(twice([x], {})).toBe(twice([x], {}));
    expect(thrice([x], {})).not.toBe(twice([x], {}));
  });

  test("is distinguished by operator, inputs, their order and attributes", () => {
    const graph = new Graph();
    const [x, y] = [input(graph, "x", 2, 2), input(graph, "y", 2, 2)];
    const z = input(graph, "z", "n");
    const all = [
      add(x, y),
      add(y, x),
      multiply(x, y),
      matmul(x, y),
      matmul(x, y, { transposeX: true }),
      matmul(x, y, { scale: 2 }),
      sum(x, 0),
      sum(x, 1),
      fill(x, 1),
      fill(z, 1),
      fill(z, Number.POSITIVE_INFINITY),
      fill(z, Number.NEGATIVE_INFINITY),
      graph.constant([1, 2]),
      graph.constant([1, 2], [2, 1]),
      graph.constant(BigInt64Array.of(1n, 2n)),
      graph.constant(Uint8Array.of(1, 2)),
      graph.constant(Uint8Array.of(1, 2), [2], "bool"),
    ];
    expect(new Set(all).size).toBe(all.length);
  });
});

test("tensors of two graphs do not mix", () => {
  const [x, y] = [input(new Graph(), "x", 2), input(new Graph(), "y", 2)];
  expect(() => add(x, y)).toThrow("add: expected inputs of one graph, got tensors of several");
});

test("an input asked for with another type is refused", () => {
  const graph = new Graph();
  input(graph, "x", "batch", 2);
  expect(() => graph.input("x", "int64", ["batch", 2])).toThrow(
    "input x: expected float32 [batch, 2] as before, got int64 [batch, 2]",
  );
});

test("parameterShapes lists the parameters of a checkpoint", () => {
  const scope = new Graph().scope();
  scope.in("layers", (w) => w.at(0).parameter("weight", [2, 3]));
  scope.parameter("bias", [2]);
  expect([...parameterShapes(scope.graph)]).toEqual([
    ["layers.0.weight", [2, 3]],
    ["bias", [2]],
  ]);
});
