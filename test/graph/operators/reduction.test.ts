import { describe, expect, test } from "vitest";
import { argMin, Graph, gradients, max, mean, sum } from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, expectClose, random, total } from "../kit.ts";

describe.each([
  ["sum", sum],
  ["mean", mean],
  ["max", max],
])("%s", (_name, reduce) => {
  const axes: (number | number[] | undefined)[] = [
    undefined,
    0,
    1,
    -1,
    [0, 1],
    [0, 2],
    [1, -1],
    [0, 1, 2],
    [],
  ];
  test.each(axes.map((each) => [each]))("along %o", async (along) => {
    await checkGradient(({ x }) => reduce(x, along), { x: [2, 3, 5] });
    await checkGradient(({ x }) => reduce(x, along, { keep: false }), { x: [2, 3, 5] });
  });

  test("along axes of size 1, and of a scalar", async () => {
    await checkGradient(({ x }) => reduce(x, [0, 2]), { x: [1, 3, 1] });
    await checkGradient(({ x }) => reduce(x), { x: [] });
  });

  test("gives the shape, with or without the reduced axes", () => {
    const x = new Graph().input("x", "float32", ["batch", 3, 5]);
    expect(reduce(x, -1).shape).toEqual(["batch", 3, 1]);
    expect(reduce(x, [1, 2], { keep: false }).shape).toEqual(["batch"]);
    expect(() => reduce(x, 3)).toThrow("expected an axis of a rank-3 tensor, got 3");
  });
});

test("sum runs along axes whose size is known late", async () => {
  const x = new Graph().input("x", "float32", ["batch", "time"]);
  const [dx] = gradients(total([x]), [x]);
  for (const shape of [
    [1, 3],
    [4, 2],
  ]) {
    const feeds = { x: random(shape) };
    const made = await evaluate({ y: sum(x, 1, { keep: false }), dx: dx! }, feeds);
    expect(made.y.shape).toEqual([shape[0]]);
    expect([...made.dx.data]).toEqual(Array(shape[0]! * shape[1]!).fill(1));
  }
});

test("mean divides the sum by the number of elements", async () => {
  const x = new Graph().input("x", "float32", [2, 3]);
  const feeds = { x: array([2, 3], [1, 2, 6, 4, 0, 5]) };
  const made = await evaluate({ rows: mean(x, 1), columns: mean(x, 0), all: mean(x) }, feeds);
  expect([...made.rows.data]).toEqual([3, 3]);
  expect([...made.columns.data]).toEqual([2.5, 1, 5.5]);
  expectClose(made.all, array([1, 1], [3]));
});

test("mean refuses an axis of unknown size", () => {
  const x = new Graph().input("x", "float32", ["batch", 3]);
  expect(() => mean(x, 0)).toThrow("mean: axes: expected known dimensions, got [batch]");
});

test("max gives each of several largest values the whole gradient", async () => {
  const x = new Graph().input("x", "float32", [2, 3]);
  const [dx] = gradients(total([max(x, 1)]), [x]);
  const made = await evaluate({ dx: dx! }, { x: array([2, 3], [5, 1, 5, -2, -2, -2]) });
  expect([...made.dx.data]).toEqual([1, 0, 1, 1, 1, 1]);
});

test("argMin gives the first of several smallest values", async () => {
  const x = new Graph().input("x", "float32", [2, 4]);
  const outputs = { rows: argMin(x, -1), columns: argMin(x, 0) };
  const made = await evaluate(outputs, { x: array([2, 4], [3, 1, 2, 1, 0, 1, -4, 5]) });
  expect(outputs.rows.dtype).toBe("int64");
  expect([made.rows.shape, [...made.rows.data]]).toEqual([[2], [1, 2]]);
  expect([made.columns.shape, [...made.columns.data]]).toEqual([[4], [1, 0, 1, 0]]);
});
