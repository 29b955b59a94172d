import { describe, expect, test } from "vitest";
import { Graph, groupNorm, layerNorm, rmsNorm, softmax, standardize } from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, expectClose } from "../kit.ts";

describe("softmax", () => {
  test.each([
    [[5], -1],
    [[2, 5], -1],
    [[2, 3, 4], 0],
    [[2, 3, 4], 1],
    [[2, 3, 1], 2],
  ])("of %o along axis %i", async (shape, axis) => {
    await checkGradient(({ x }) => softmax(x, axis), { x: { shape, range: [-3, 3] } });
  });

  test("stands large and hidden scores", async () => {
    const x = new Graph().input("x", "float32", [2, 3]);
    const scores = array([2, 3], [1000, 1001, -1e9, 5, -1e9, Number.NEGATIVE_INFINITY]);
    const { y } = await evaluate({ y: softmax(x) }, { x: scores });
    expectClose(y, array([2, 3], [1 / (1 + Math.E), Math.E / (1 + Math.E), 0, 1, 0, 0]));
  });
});

describe("rmsNorm", () => {
  test.each([[[7]], [[3, 5]], [[2, 3, 4]], [[1, 2, 1, 6]]])("of %o", async (shape) => {
    await checkGradient(({ x, weight }) => rmsNorm(x, weight, 1e-5), { x: shape, weight: [shape.at(-1)!] });
  });

  test("with an epsilon that counts", async () => {
    await checkGradient(({ x, weight }) => rmsNorm(x, weight, 0.1), { x: [2, 6], weight: [6] });
  });

  test("refuses a weight of another width", () => {
    const graph = new Graph();
    const [x, weight] = [graph.input("x", "float32", ["batch", 4]), graph.parameter("weight", [3])];
    expect(() => rmsNorm(x, weight, 1e-5)).toThrow("rmsNorm: expected a weight [4], got [3]");
  });
});

describe("standardize", () => {
  test.each([[[7]], [[3, 5]], [[2, 3, 4]]])("of %o", async (shape) => {
    await checkGradient(({ x }) => standardize(x, 1e-5), { x: { shape, range: [0, 3] } });
  });

  test("with an epsilon that counts", async () => {
    await checkGradient(({ x }) => standardize(x, 0.1), { x: [2, 6] });
  });
});

test("layerNorm with one weight for all and with one for each head", async () => {
  const norm = (weight: readonly number[]) =>
    checkGradient(({ x, weight, bias }) => layerNorm(x, weight, bias, 1e-5), {
      x: [2, 3, 2, 5],
      weight,
      bias: weight,
    });
  await norm([5]);
  await norm([3, 1, 5]);
});

describe("groupNorm", () => {
  test.each([
    [[1, 4, 2, 3], 2],
    [[3, 2, 3, 1], 1],
    [[2, 6, 2, 2], 6],
  ])("of %o in %i groups", async (shape, groups) => {
    await checkGradient(({ x, weight, bias }) => groupNorm(x, weight, bias, groups, 1e-6), {
      x: { shape, range: [-1, 2] },
      weight: [shape[1]!],
      bias: [shape[1]!],
    });
  });

  test("refuses groups that do not divide the channels", () => {
    const graph = new Graph();
    const norm = (shape: readonly number[]) =>
      groupNorm(
        graph.input(`x${shape}`, "float32", shape),
        graph.parameter("w", [6]),
        graph.parameter("b", [6]),
        4,
        1e-6,
      );
    expect(() => norm([2, 6, 3, 3])).toThrow(
      "groupNorm: expected [n, channels, height, width] with 4 groups",
    );
    expect(() => norm([2, 8, 3])).toThrow("got [2, 8, 3]");
  });
});
