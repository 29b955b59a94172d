import { describe, expect, test } from "vitest";
import { Graph, linear, matmul } from "../../../src/graph/index.ts";
import { checkGradient } from "../kit.ts";

const both = [false, true];
const transposes = both.flatMap((transposeX) =>
  both.flatMap((transposeY) => [1, 0.3].map((scale) => ({ transposeX, transposeY, scale }))),
);
const matrix = (rows: number, columns: number, transposed: boolean) =>
  transposed ? [columns, rows] : [rows, columns];

describe("matmul", () => {
  test.each(transposes)("of two matrices, %o", async (options) => {
    await checkGradient(({ x, y }) => matmul(x, y, options), {
      x: matrix(3, 4, options.transposeX),
      y: matrix(4, 2, options.transposeY),
    });
  });

  test.each(transposes)("of batches of matrices, %o", async (options) => {
    await checkGradient(({ x, y }) => matmul(x, y, options), {
      x: [2, 3, ...matrix(3, 4, options.transposeX)],
      y: [2, 3, ...matrix(4, 2, options.transposeY)],
    });
  });

  test.each(transposes.filter(({ transposeX }) => !transposeX))(
    "with one matrix shared by the batch, %o",
    async (options) => {
      const y = matrix(4, 5, options.transposeY);
      await checkGradient(({ x, y }) => matmul(x, y, options), { x: [2, 3, 4], y });
      await checkGradient(({ x, y }) => matmul(x, y, options), { x: [1, 2, 3, 4], y });
    },
  );

  test("of rows, columns and single numbers", async () => {
    await checkGradient(({ x, y }) => matmul(x, y), { x: [1, 5], y: [5, 1] });
    await checkGradient(({ x, y }) => matmul(x, y), { x: [5, 1], y: [1, 5] });
    await checkGradient(({ x, y }) => matmul(x, y), { x: [3, 1, 1], y: [1, 1] });
  });

  test("of a matrix with itself", async () => {
    await checkGradient(({ x }) => matmul(x, x, { transposeY: true }), { x: [3, 2] });
    await checkGradient(({ x }) => matmul(x, x), { x: [2, 3, 3] });
  });

  test("refuses matrices that do not multiply, naming both", () => {
    const graph = new Graph();
    const input = (name: string, ...shape: (number | string)[]) => graph.input(name, "float32", shape);
    const x = input("x", 3, 4);
    expect(() => matmul(x, input("y", 3, 4))).toThrow(
      "graph: matmul: expected matrices that multiply, got [3, 4] and [3, 4]",
    );
    expect(() => matmul(x, input("z", 3, 5), { transposeY: true })).toThrow("got [3, 4] and [3, 5]ᵀ");
    expect(() => matmul(x, input("batch", 2, 4, 5))).toThrow("matmul: expected");
    expect(() => matmul(input("a", "batch", 2, 4), input("b", "time", 4, 5))).toThrow("[batch, 2, 4]");
    expect(() => matmul(x, input("v", 4))).toThrow("expected a matrix, got [4]");
  });
});

describe("linear", () => {
  test.each([[[3, 4]], [[2, 3, 4]], [[1, 1, 4]]])("of x %o", async (x) => {
    await checkGradient(({ x, weight }) => linear(x, weight), { x, weight: [5, 4] });
  });
});
