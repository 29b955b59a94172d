import { describe, expect, test } from "vitest";
import {
  embedding,
  exportOnnx,
  Graph,
  gatherLast,
  gradients,
  scatterLast,
  scatterRows,
  take,
} from "../../../src/graph/index.ts";
import { float32, floats, int64, Session } from "../../../src/runtime/session.ts";
import { checkGradient, evaluate, expectClose, ids, random, total } from "../kit.ts";
import { evaluate64 } from "../reference.ts";

describe("embedding", () => {
  test.each([
    [[6], [3, 0, 3, 3, 1, 0]],
    [
      [2, 3],
      [4, 4, 0, 1, 2, 4],
    ],
    [[1, 1], [2]],
    [[], [3]],
  ])("of ids %o %o, repeats included", async (shape, values) => {
    await checkGradient(({ x, table }) => embedding(x, table), { x: ids(shape, values), table: [5, 3] });
  });

  test("refuses ids that are not int64, and tables of another rank", () => {
    const graph = new Graph();
    const table = graph.parameter("table", [5, 3]);
    expect(() => embedding(graph.input("x", "float32", [2]), table)).toThrow(
      "embedding: expected int64 ids and a table [rows, width], got float32 and [5, 3]",
    );
    expect(() => embedding(graph.input("i", "int64", [2]), graph.parameter("t", [5]))).toThrow("[5]");
  });
});

describe("scatterRows", () => {
  test("adds repeated rows in a deterministic order with several threads", async () => {
    const [count, width] = [2400, 256];
    const graph = new Graph();
    const x = graph.input("x", "float32", [2, width]);
    const at = graph.input("at", "int64", [count, 1]);
    const model = exportOnnx({ y: scatterRows(x, at, graph.input("updates", "float32", [count, width])) });
    const session = await Session.create(model, { threads: 2 });
    const feeds = {
      x: float32(new Float32Array(2 * width), [2, width]),
      at: int64(new BigInt64Array(count), [count, 1]),
      updates: float32(
        Float32Array.from({ length: count * width }, (_, i) => Math.sin(i * i)),
        [count, width],
      ),
    };
    const first = floats((await session.run(feeds)).y!);
    for (let run = 0; run < 20; run++) expect(floats((await session.run(feeds)).y!)).toEqual(first);
    await session.release();
  });

  test("adds every update, repeats included", async () => {
    const leaves = { x: [4, 3], at: ids([5, 1], [2, 0, 2, 2, 3]), updates: [5, 3] };
    await checkGradient(({ x, at, updates }) => scatterRows(x, at, updates), leaves);
  });

  test("refuses updates of another width", () => {
    const graph = new Graph();
    const [x, at] = [graph.input("x", "float32", [4, 3]), graph.input("at", "int64", [5, 1])];
    expect(() => scatterRows(x, at, graph.input("u", "float32", [5, 2]))).toThrow(
      "scatterRows: expected updates [count, 3], got [5, 2]",
    );
  });
});

describe("gatherLast", () => {
  test.each([
    [[4], [3], [2, 0, 2]],
    [
      [2, 4],
      [2, 3],
      [3, 3, 0, 1, 0, 2],
    ],
    [
      [3, 1, 2],
      [3, 1, 1],
      [1, 0, 1],
    ],
  ])("of x %o by ids %o %o", async (x, shape, values) => {
    await checkGradient(({ x, at }) => gatherLast(x, at), { x, at: ids(shape, values) });
  });

  test("refuses ids for other rows", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [2, 4]);
    expect(() => gatherLast(x, graph.input("at", "int64", [3, 1]))).toThrow(
      "gatherLast: expected int64 ids over the rows of [2, 4], got int64 [3, 1]",
    );
  });
});

describe("scatterLast", () => {
  test.each([
    [[4], [3], [2, 0, 2]],
    [
      [2, 4],
      [2, 3],
      [3, 3, 0, 1, 0, 2],
    ],
  ])("of x %o by ids %o %o, repeats included", async (x, shape, values) => {
    const leaves = { x, at: ids(shape, values), updates: shape };
    await checkGradient(({ x, at, updates }) => scatterLast(x, at, updates), leaves);
  });

  test("refuses ids and updates that do not fit", () => {
    const graph = new Graph();
    const float = (name: string, ...shape: number[]) => graph.input(name, "float32", shape);
    const at = graph.input("at", "int64", [2, 3]);
    expect(() => scatterLast(float("x", 2, 4), at, float("u", 2, 2))).toThrow(
      "scatterLast: expected ids and updates of one shape, got [2, 3] and [2, 2]",
    );
    expect(() => scatterLast(float("y", 5, 4), at, float("v", 2, 3))).toThrow(
      "scatterLast: expected int64 ids over the rows of [5, 4], got int64 [2, 3]",
    );
  });
});

describe("take", () => {
  test.each([0, 1, -1])("along axis %i", async (axis) => {
    const graph = new Graph();
    const [x, at] = [graph.input("x", "float32", [3, 4, 2]), graph.input("at", "int64", ["count"])];
    const y = take(x, at, axis);
    for (const values of [[1], [1, 0, 1]]) {
      const feeds = { x: random([3, 4, 2]), at: { shape: [values.length], data: Float64Array.from(values) } };
      expectClose((await evaluate({ y }, feeds)).y, evaluate64([y], feeds)[0]!);
    }
  });

  test("has no gradient", () => {
    const graph = new Graph();
    const [x, at] = [graph.input("x", "float32", [3, 4]), graph.input("at", "int64", [2])];
    expect(() => gradients(total([take(x, at, 0)]), [x])).toThrow("does not depend on input x [3, 4]");
  });
});
