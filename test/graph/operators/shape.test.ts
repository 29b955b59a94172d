import { describe, expect, test } from "vitest";
import {
  broadcastLike,
  concat,
  Graph,
  gradients,
  multiply,
  pad,
  repeat,
  reshape,
  slice,
  split,
  tanh,
  transpose,
} from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, expectClose, random, total } from "../kit.ts";
import { evaluate64 } from "../reference.ts";

const sumOf = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
const input = (...shape: (number | string)[]) => new Graph().input("x", "float32", shape);

describe("reshape", () => {
  test.each([
    [
      [2, 6],
      [3, 4],
    ],
    [[2, 3, 2], [12]],
    [[1], []],
    [
      [4, 3],
      [4, 1, 3, 1],
    ],
  ])("%o → %o", async (from, to) => {
    await checkGradient(({ x }) => reshape(x, to), { x: from });
  });

  test("keeps one symbolic dimension that is new, and those that stay where they were", async () => {
    const x = input("batch", "time", 6);
    const outputs = {
      rows: reshape(x, ["batch*time", 6]),
      heads: reshape(x, ["batch", "time", 2, 3]),
      flat: reshape(x, ["batch*time*6"]),
    };
    for (const shape of [
      [1, 4, 6],
      [3, 2, 6],
    ]) {
      const made = await evaluate(outputs, { x: random(shape) });
      const [batch, time] = shape as [number, number, number];
      expect(made.rows.shape).toEqual([batch * time, 6]);
      expect(made.heads.shape).toEqual([batch, time, 2, 3]);
      expect(made.flat.shape).toEqual([batch * time * 6]);
    }
  });

  test("finds the way back from joined dimensions when the graph runs", async () => {
    const x = input("batch", "time", 3);
    const rows = reshape(x, ["batch*time", 3]);
    const [dx] = gradients(total([multiply(rows, rows)]), [x]);
    const [again] = gradients(total([multiply(dx!, dx!)]), [x]);
    for (const shape of [
      [2, 4, 3],
      [3, 1, 3],
    ]) {
      const given = random(shape);
      const times = (factor: number) =>
        array(
          shape,
          given.data.map((each) => each * factor),
        );
      const made = await evaluate({ dx: dx!, again: again! }, { x: given });
      expectClose(made.dx, times(2));
      expectClose(made.again, times(8));
    }
  });

  test("to the same shape is the same tensor", () => {
    const x = input(2, 3);
    expect(reshape(x, [2, 3])).toBe(x);
  });

  test("refuses another number of elements, and two dimensions it cannot tell apart", () => {
    expect(() => reshape(input(2, 3), [4])).toThrow("reshape: expected as many elements as [2, 3], got [4]");
    expect(() => reshape(input("batch*time", 4), ["batch", "time", 4])).toThrow(
      "reshape: expected at most one new symbolic dimension in [batch, time, 4], reshaping [batch*time, 4]",
    );
  });
});

describe("transpose", () => {
  test.each([
    [
      [2, 3],
      [1, 0],
    ],
    [
      [2, 3, 4],
      [2, 0, 1],
    ],
    [
      [2, 1, 3, 2],
      [0, 2, 1, 3],
    ],
    [
      [2, 3, 1, 2],
      [3, 0, 2, 1],
    ],
  ])("%o by %o", async (shape, order) => {
    await checkGradient(({ x }) => transpose(x, order), { x: shape });
  });

  test("refuses an invalid order of the axes", () => {
    for (const order of [[0], [0, 0], [0, 2], [0, 1, 2]])
      expect(() => transpose(input(2, 3), order)).toThrow(
        `transpose: expected an order of 2 axes, got [${order}]`,
      );
  });
});

describe("broadcastLike", () => {
  test.each([
    [
      [3, 1],
      [2, 3, 4],
    ],
    [[], [2, 3]],
    [
      [1, 1],
      [1, 4],
    ],
    [
      [2, 3],
      [2, 3],
    ],
  ])("%o → %o", async (from, to) => {
    await checkGradient(({ x, like }) => broadcastLike(x, like), {
      x: from,
      like: { shape: to, fixed: true },
    });
  });

  test("to a shape that is known when the graph runs", async () => {
    const graph = new Graph();
    const [x, like] = [graph.input("x", "float32", [3]), graph.input("like", "float32", ["n", 2, 3])];
    const y = broadcastLike(x, like);
    const [dx] = gradients(total([multiply(y, like)]), [x]);
    for (const n of [1, 3]) {
      const feeds = { x: random([3]), like: random([n, 2, 3], 2) };
      const made = await evaluate({ y, dx: dx! }, feeds);
      const [exact, slope] = evaluate64([y, dx!], feeds);
      expectClose(made.y, exact!);
      expectClose(made.dx, slope!);
      expectClose(
        slope!,
        array(
          [3],
          [0, 1, 2].map((i) => sumOf(feeds.like.data.filter((_, at) => at % 3 === i))),
        ),
      );
    }
  });

  test("refuses a shape that does not fit", () => {
    const graph = new Graph();
    const [x, like] = [graph.input("x", "float32", [2, 3]), graph.input("like", "float32", [1, 3])];
    expect(() => broadcastLike(x, like)).toThrow("expected a shape that broadcasts to [1, 3], got [2, 3]");
  });
});

describe("repeat", () => {
  test.each([
    [[2, 3], 0, 4],
    [[2, 3], 1, 2],
    [[2, 3], -1, 3],
    [[2], 1, 1],
  ])("%o at axis %i, %i times", async (shape, axis, count) => {
    await checkGradient(({ x }) => repeat(x, axis, count), { x: shape });
  });
});

describe("slice", () => {
  test.each([
    [1, 0, 3, 1],
    [1, 2, 7, 1],
    [-1, 1, 2, 1],
    [1, 0, 7, 2],
    [1, 1, 6, 2],
    [1, 1, 7, 2],
    [1, 0, 7, 3],
    [1, 2, 7, 4],
    [1, 0, 6, 5],
    [1, 6, 7, 3],
    [1, -3, -1, 1],
    [1, -4, 7, 2],
    [1, 0, 99, 4],
  ])("along axis %i from %i to %i by %i", async (axis, start, end, step) => {
    await checkGradient(({ x }) => slice(x, axis, start, end, step), { x: [2, 7, 3] });
  });

  test("of a symbolic axis, counted from either side", async () => {
    const x = input("time", 2);
    const outputs = { first: slice(x, 0, 0, 2), last: slice(x, 0, -3, -1) };
    for (const time of [3, 5]) {
      const feeds = { x: random([time, 2]) };
      const made = await evaluate(outputs, feeds);
      const [first, last] = evaluate64([outputs.first, outputs.last], feeds);
      expectClose(made.first, first!);
      expectClose(made.last, last!);
      expect(made.last.shape).toEqual([2, 2]);
    }
  });

  test("of the whole axis is the same tensor", () => {
    const x = input(2, 3);
    expect(slice(x, 1, 0, 3)).toBe(x);
  });

  test("refuses an empty range, and one that starts outside", () => {
    for (const [start, end] of [
      [2, 2],
      [2, 1],
      [3, 4],
      [-5, 2],
    ] as const)
      expect(() => slice(input(2, 3), 1, start, end)).toThrow("slice: expected a range within 3 at axis 1");
    expect(() => slice(input("time"), 0, 1, -1)).toThrow("counted from the same side");
  });
});

describe("pad", () => {
  test.each([
    [0, 1, 0],
    [1, 0, 2],
    [-1, 2, 1],
    [1, 0, 0],
  ])("axis %i with %i before and %i after", async (axis, before, after) => {
    await checkGradient(({ x }) => pad(x, axis, before, after), { x: [2, 3, 2] });
  });
});

describe("concat", () => {
  test.each([0, 1, -1])("along axis %i", async (axis) => {
    const shape = (size: number) => [2, 2, 2].map((dim, i) => (i === (axis + 3) % 3 ? size : dim));
    const leaves = { x: shape(1), y: shape(3), z: shape(2) };
    await checkGradient(({ x, y, z }) => concat([x, y, z], axis), leaves);
  });

  test("of one tensor is that tensor, and of a tensor with itself adds both gradients", async () => {
    const x = input(2, 3);
    expect(concat([x], 0)).toBe(x);
    await checkGradient(({ x }) => concat([x, tanh(x), x], 1), { x: [2, 2] });
  });

  test("of symbolic sizes is their sum", () => {
    const graph = new Graph();
    const [past, now] = ["past", "time"].map((dim) => graph.input(dim, "float32", ["batch", dim, 4]));
    expect(concat([past!, now!], 1).shape).toEqual(["batch", "past+time", 4]);
  });

  test("refuses tensors that differ elsewhere", () => {
    const graph = new Graph();
    const [x, y] = [graph.input("x", "float32", [2, 3]), graph.input("y", "float32", [3, 3])];
    expect(() => concat([x, y], 1)).toThrow(
      "concat: expected shapes that are equal except at axis 1, got [2, 3], [3, 3]",
    );
  });
});

describe("split", () => {
  test("with all parts used", async () => {
    await checkGradient(({ x }) => split(x, 1, [1, 3, 2]), { x: [2, 6] });
    await checkGradient(({ x }) => split(x, 0, [2, 1]), { x: [3, 2] });
  });

  test("with parts that nothing depends on", async () => {
    const middle = ([, part]: readonly ReturnType<typeof tanh>[]) => multiply(part!, part!);
    await checkGradient(({ x }) => middle(split(x, -1, [1, 3, 2])), { x: [2, 6] });
  });

  test("refuses sizes that do not add up", () => {
    expect(() => split(input(2, 6), 1, [2, 3])).toThrow(
      "split: expected sizes adding up to 6 at axis 1, got [2,3]",
    );
  });
});
