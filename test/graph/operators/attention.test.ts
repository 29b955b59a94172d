import { describe, expect, test } from "vitest";
import {
  attention,
  attentionToPast,
  concat,
  Graph,
  multiply,
  repeat,
  reshape,
  rope,
  rotaryTables,
} from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, evaluate64, expectClose, ids, random } from "../kit.ts";

const heads = (batch: number, count: number, time: number, length: number, width: number) => ({
  queries: { shape: [batch, count, time, width], range: [-2, 2] as const },
  keys: { shape: [batch, count, length, width], range: [-2, 2] as const },
  values: [batch, count, length, width],
});

describe("attention", () => {
  test.each([
    [1, 1, 1, 1, 2],
    [2, 2, 3, 3, 4],
    [3, 1, 2, 5, 3],
    [1, 2, 4, 2, 5],
  ])("batch %i, heads %i, queries %i, keys %i, width %i", async (...sizes) => {
    await checkGradient(({ queries, keys, values }) => attention(queries, keys, values), heads(...sizes));
  });

  test.each([[[2, 1, 3, 4]], [[1, 2, 1, 4]], [[3, 4]], [[2, 2, 3, 4]]])("with a bias %o", async (shape) => {
    const bias = { shape, range: [-2, 2] as const, fixed: true };
    await checkGradient(({ queries, keys, values, bias }) => attention(queries, keys, values, bias), {
      ...heads(2, 2, 3, 4, 4),
      bias,
    });
  });

  test("masked keys neither count nor get a gradient", async () => {
    const [see, hide] = [0, -1e9];
    const values = [see, hide, hide, see, see, hide, see, see, see];
    await checkGradient(({ queries, keys, values, bias }) => attention(queries, keys, values, bias), {
      ...heads(1, 2, 3, 3, 4),
      bias: { shape: [3, 3], values, fixed: true },
    });
  });

  test("runs with any number of queries and past keys", async () => {
    const graph = new Graph();
    const given = (name: string, length: string) => graph.input(name, "float32", ["batch", 2, length, 4]);
    const y = attention(given("q", "time"), given("k", "past+time"), given("v", "past+time"));
    expect(y.shape).toEqual(["batch", 2, "time", 4]);
    const [k, v] = [random([1, 2, 5, 4], 2), random([1, 2, 5, 4], 3)];
    const all = await evaluate({ y }, { q: random([1, 2, 3, 4], 1), k, v });
    // One query at a time gives the same rows.
    for (const t of [0, 1, 2]) {
      const rows = (x: typeof k) =>
        array([1, 2, 1, 4], [...x.data.slice(t * 4, t * 4 + 4), ...x.data.slice(12 + t * 4, 16 + t * 4)]);
      const single = await evaluate({ y }, { q: rows(random([1, 2, 3, 4], 1)), k, v });
      expectClose(single.y, rows(all.y));
    }
  });

  test("refuses keys of another width and a bias that does not fit the scores", () => {
    const graph = new Graph();
    const given = (name: string, ...shape: number[]) => graph.input(name, "float32", shape);
    const [q, k] = [given("q", 2, 2, 3, 4), given("k", 2, 2, 5, 4)];
    expect(() => attention(q, given("narrow", 2, 2, 5, 3), k)).toThrow(
      "attention: expected keys and values [2, 2, 5, 4] for queries [2, 2, 3, 4], got [2, 2, 5, 3]",
    );
    expect(() => attention(q, k, given("short", 2, 2, 4, 4))).toThrow("and [2, 2, 4, 4]");
    expect(() => attention(q, k, k, given("bias", 3, 3))).toThrow(
      "attention: expected shapes that broadcast, got [3, 3] and [2, 2, 3, 5]",
    );
    expect(() => attention(q, k, k, given("many", 7, 2, 2, 3, 5))).toThrow(
      "attention: expected a bias that broadcasts to [2, 2, 3, 5], got [7, 2, 2, 3, 5]",
    );
  });
});

describe("attentionToPast", () => {
  const leaves = (graph: Graph, shared: number, time: number | string, past: number | string) => {
    const given = (name: string, ...shape: (number | string)[]) => graph.input(name, "float32", shape);
    const side = (name: string, length: number | string) => ({
      keys: given(`${name} keys`, 2, shared, length, 4),
      values: given(`${name} values`, 2, shared, length, 4),
    });
    const width = typeof time === "number" ? time + (past as number) : `${past}+${time}`;
    return {
      queries: given("queries", 2, 6, time, 4),
      past: side("past", past),
      now: side("now", time),
      bias: given("bias", 2, 1, time, width),
    };
  };

  test.each([
    ["one key per query", 6, 1, 5],
    ["one key per query", 6, 3, 2],
    ["grouped queries", 2, 1, 5],
    ["grouped queries", 3, 4, 3],
    ["one key for all", 1, 2, 1],
  ])("%s (%i), %i new, %i past: is attention to all of them", async (_name, shared, time, past) => {
    const graph = new Graph();
    const sizes = leaves(graph, shared, time, past);
    const side = (length: number, seed: number) => random([2, shared, length, 4], seed, [-2, 2]);
    const feeds = {
      queries: random([2, 6, time, 4], 1, [-2, 2]),
      "past keys": side(past, 2),
      "past values": side(past, 3),
      "now keys": side(time, 4),
      "now values": side(time, 5),
      bias: random([2, 1, time, past + time], 6, [-3, 3]),
      lengths: array([2], [past, time]),
    };
    const lengths = graph.input("lengths", "int64", [2]);
    const half = multiply(sizes.queries, 0.5); // 1 / √4
    const computed = attentionToPast(half, sizes.past, sizes.now, lengths, sizes.bias);
    const all = (kind: "keys" | "values") =>
      reshape(repeat(concat([sizes.past[kind], sizes.now[kind]], 2), 2, 6 / shared), [2, 6, past + time, 4]);
    const [expected] = evaluate64([attention(sizes.queries, all("keys"), all("values"), sizes.bias)], feeds);
    expectClose((await evaluate({ computed }, feeds)).computed, expected!);
  });

  test("refuses incomplete groups, and a bias of another length", () => {
    const graph = new Graph();
    const lengths = graph.input("lengths", "int64", [2]);
    const { queries, past, now, bias } = leaves(graph, 4, "time", "past");
    expect(() => attentionToPast(queries, past, now, lengths, bias)).toThrow(
      "attentionToPast: expected keys and values of whole groups of queries [2, 6, time, 4]",
    );
    const other = leaves(new Graph(), 3, "time", "past");
    const short = other.queries.graph.input("short", "float32", [2, 1, "time", "past"]);
    const two = other.queries.graph.input("lengths", "int64", [2]);
    expect(() => attentionToPast(other.queries, other.past, other.now, two, short)).toThrow(
      "expected a bias [2, 1, time, past+time], got [2, 1, time, past]",
    );
  });
});

describe("rope", () => {
  test.each([
    [1, 1, 3, 2],
    [2, 3, 4, 6],
    [3, 2, 1, 4],
  ])("batch %i, heads %i, time %i, width %i", async (batch, count, time, width) => {
    const positions = Array.from({ length: batch * time }, (_, i) => (i * 5) % 11);
    await checkGradient(
      ({ x, positions }, graph) => rope(x, positions, rotaryTables(graph, 11, width, { theta: 100 })),
      { x: [batch, count, time, width], positions: ids([batch, time], positions) },
    );
  });

  test("turns pair i of the halves by position · θ^(−2i/width), and leaves position 0 as it is", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [1, 1, "time", 4]);
    const positions = graph.input("positions", "int64", [1, "time"]);
    const y = rope(x, positions, rotaryTables(graph, 10, 4, { theta: 100 }));
    const feeds = { x: array([1, 1, 2, 4], [1, 2, 3, 4, 1, 2, 3, 4]), positions: array([1, 2], [0, 7]) };
    const [fast, slow] = [7, 0.7]; // 100^(−2/4) = 0.1
    const turned = [
      1 * Math.cos(fast) - 3 * Math.sin(fast),
      2 * Math.cos(slow) - 4 * Math.sin(slow),
      3 * Math.cos(fast) + 1 * Math.sin(fast),
      4 * Math.cos(slow) + 2 * Math.sin(slow),
    ];
    expectClose((await evaluate({ y }, feeds)).y, array([1, 1, 2, 4], [1, 2, 3, 4, ...turned]));
  });

  test("multiplies with the tables' scale besides", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [1, 2, 3, 4]);
    const positions = graph.input("positions", "int64", [1, 3]);
    const scaled = rope(x, positions, rotaryTables(graph, 5, 4, { theta: 100 }, 0.5));
    const plain = multiply(rope(x, positions, rotaryTables(graph, 5, 4, { theta: 100 })), 0.5);
    const feeds = { x: random([1, 2, 3, 4]), positions: array([1, 3], [4, 0, 2]) };
    const made = await evaluate({ scaled, plain }, feeds);
    expectClose(made.scaled, made.plain);
  });

  test("positions that are divided by a quarter turn as those four times as far", async () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [1, 2, 3, 4]);
    const positions = graph.input("positions", "int64", [1, 3]);
    const far = graph.input("far", "int64", [1, 3]);
    const divided = rope(x, positions, rotaryTables(graph, 5, 4, { theta: 100, factor: 0.25 }));
    const plain = rope(x, far, rotaryTables(graph, 17, 4, { theta: 100 }));
    const feeds = {
      x: random([1, 2, 3, 4]),
      positions: array([1, 3], [4, 0, 2]),
      far: array([1, 3], [16, 0, 8]),
    };
    const made = await evaluate({ divided, plain }, feeds);
    expectClose(made.divided, made.plain);
  });

  test("refuses tables of another width or with fewer rows than the sequence is long", () => {
    const graph = new Graph();
    const [x, positions] = [graph.input("x", "float32", [1, 2, 5, 4]), graph.input("p", "int64", [1, 5])];
    expect(() => rope(x, positions, rotaryTables(graph, 8, 6, { theta: 100 }))).toThrow(
      "rope: expected positions [1, 5] and tables for width 4, got [1, 5] and [8, 3]",
    );
    expect(() => rope(x, positions, rotaryTables(graph, 4, 4, { theta: 100 }))).toThrow("rope: expected");
  });
});
