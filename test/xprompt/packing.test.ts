/**
 * @file The packed layout, compared with the paper's mask, defined independently here: one predicate over pairs of
 * rows, and one dense attention over all of them.
 */
import { describe, expect, test } from "vitest";
import type { DecoderConfig } from "../../src/chameleon/checkpoint/config.ts";
import { type Attend, embed, HIDDEN, headWidth, transformer } from "../../src/chameleon/model/transformer.ts";
import {
  attention,
  Graph,
  parameterShapes,
  repeat,
  reshape,
  rope,
  rotaryTables,
  type Tensor,
  transpose,
} from "../../src/graph/index.ts";
import { Random } from "../../src/random.ts";
import {
  causalBias,
  exampleRows,
  type Packing,
  packedAttention,
  todoRows,
} from "../../src/xprompt/packing.ts";
import type { ExampleMask } from "../../src/xprompt/sequence.ts";
import { asArrays, randomWeights, tiny } from "../fixtures/chameleon/kit.ts";
import { array, evaluate, evaluate64, expectClose, type NdArray, random } from "../graph/kit.ts";

const TODO_POSITION = 20;
const packing: Packing = {
  contexts: 2,
  examples: 2,
  exampleLength: 7,
  xpTokens: 2,
  todos: 2,
  todoLength: 4,
  mask: "xprompt",
};

/** A row of the packed batch, with its role. */
interface Row {
  readonly context: number;
  readonly part: "example" | "todo";
  /** Index of the example or TODO part in its context. */
  readonly index: number;
  /** Position in its sequence without padding; negative for the padding before an example. */
  readonly place: number;
  readonly xp: boolean;
}

/** The rows in order. `padding[e]` is the length of the padding before example e of the batch. */
function rowsOf(p: Packing, padding: readonly number[]): Row[] {
  const rows: Row[] = [];
  for (let context = 0; context < p.contexts; context++)
    for (let index = 0; index < p.examples; index++)
      for (let i = 0; i < p.exampleLength; i++) {
        const place = i - padding[context * p.examples + index]!;
        rows.push({ context, part: "example", index, place, xp: i >= p.exampleLength - p.xpTokens });
      }
  for (let context = 0; context < p.contexts; context++)
    for (let index = 0; index < p.todos; index++)
      for (let place = 0; place < p.todoLength; place++)
        rows.push({ context, part: "todo", index, place, xp: false });
  return rows;
}

/**
 * The paper's mask: causal in each part, and a TODO part sees the XP blocks of its context's examples; with the causal
 * mask, the whole examples.
 */
function sees(row: Row, key: Row, mask: ExampleMask = "xprompt"): boolean {
  if (row.context !== key.context || key.place < 0) return false;
  if (row.part === key.part) return row.index === key.index && key.place <= row.place;
  return row.part === "todo" && (mask === "causal" || key.xp);
}

const positionOf = ({ part, place }: Row): number =>
  (part === "todo" ? TODO_POSITION : 0) + Math.max(place, 0);

/** Inputs of the packed attention besides tokens. */
function layoutFeeds(p: Packing, rows: readonly Row[]): Record<string, NdArray> {
  const [examples, todos] = [rows.slice(0, exampleRows(p)), rows.slice(exampleRows(p))];
  const [exampleCount, todoCount] = [p.contexts * p.examples, p.contexts * p.todos];
  return {
    "example positions": array([exampleCount, p.exampleLength], examples.map(positionOf)),
    "example padding": array(
      [exampleCount, 1, 1, p.exampleLength],
      examples.map(({ place }) => (place < 0 ? HIDDEN : 0)),
    ),
    "todo positions": array([todoCount, p.todoLength], todos.map(positionOf)),
  };
}

/** All rows as one sequence, with a score for every pair and a bias from the predicate. */
function dense(graph: Graph, rows: readonly Row[], config: DecoderConfig, seen: ExampleMask): Attend {
  const time = rows.length;
  const [headDim, { heads, keyValueHeads }] = [headWidth(config), config];
  const positions = graph.constant(
    BigInt64Array.from(rows, (row) => BigInt(positionOf(row))),
    [1, time],
  );
  const tables = rotaryTables(graph, config.maxPositions, headDim, config.rope);
  const bias = rows.flatMap((row) => rows.map((key) => (sees(row, key, seen) ? 0 : HIDDEN)));
  const mask = graph.constant(Float32Array.from(bias), [time, time]);
  const perHead = (x: Tensor, count: number) =>
    transpose(reshape(x, [1, time, count, headDim]), [0, 2, 1, 3]);
  const shared = (x: Tensor) =>
    heads === keyValueHeads ? x : reshape(repeat(x, 2, heads / keyValueHeads), [1, heads, time, headDim]);
  return (_layer, { queries, keys, values }) => {
    const mixed = attention(
      rope(perHead(queries, heads), positions, tables),
      shared(rope(perHead(keys, keyValueHeads), positions, tables)),
      shared(perHead(values, keyValueHeads)),
      mask,
    );
    return reshape(transpose(mixed, [0, 2, 1, 3]), [time, heads, headDim]);
  };
}

/** Hidden states of all rows under an attention. */
function hiddenStates(rows: number, config: DecoderConfig, attend: (graph: Graph) => Attend): Tensor {
  const graph = new Graph();
  const w = graph.scope();
  return transformer(w, embed(w, graph.input("tokens", "int64", [rows]), config), attend(graph), config);
}
const packed = (p: Packing, config: DecoderConfig): Tensor =>
  hiddenStates(exampleRows(p) + todoRows(p), config, (graph) => packedAttention(graph, p, config));

const someTokens = (count: number, seed = 1): number[] => {
  const source = Random.of(seed, "tokens");
  return Array.from({ length: count }, () => source.integer(0, tiny.vocabularySize - 1));
};

/** The chosen rows of a matrix. */
function select(matrix: NdArray, rows: readonly number[]): NdArray {
  const width = matrix.shape[1]!;
  const parts = rows.flatMap((row) => [...matrix.data.subarray(row * width, (row + 1) * width)]);
  return array([rows.length, width], parts);
}
const indices = (rows: readonly Row[], wanted: (row: Row) => boolean): number[] =>
  rows.flatMap((row, i) => (wanted(row) ? [i] : []));

describe("one attention over packed rows", () => {
  const rows = rowsOf(packing, [0, 2, 3, 0]);
  const shape = [rows.length, tiny.heads, headWidth(tiny)];
  const graph = new Graph();
  const input = (name: string) => graph.input(name, "float32", shape);
  const projections = { queries: input("queries"), keys: input("keys"), values: input("values") };
  const output = packedAttention(graph, packing, tiny)(0, projections);
  const feeds = {
    queries: random(shape, 1),
    keys: random(shape, 2),
    values: random(shape, 3),
    ...layoutFeeds(packing, rows),
  };
  const width = tiny.heads * headWidth(tiny);
  const before = evaluate64([output], feeds)[0]!;

  /** Rows whose output changes, bit for bit, with the key and value of one row. */
  function changedBy(row: number): number[] {
    const nudged = (x: NdArray) => {
      const data = x.data.slice();
      for (let i = row * width; i < (row + 1) * width; i++) data[i]! += 0.5;
      return array(x.shape, data);
    };
    const moved = { ...feeds, keys: nudged(feeds.keys), values: nudged(feeds.values) };
    const after = evaluate64([output], moved)[0]!;
    return indices(rows, (_row) => true).filter((i) =>
      before.data
        .subarray(i * width, (i + 1) * width)
        .some((value, j) => value !== after.data[i * width + j]),
    );
  }

  test("every row hears exactly the keys that the mask lets it see", () => {
    for (const [k, key] of rows.entries()) {
      const heard = changedBy(k).filter((i) => rows[i]!.place >= 0);
      expect(heard, `listeners of row ${k}: ${JSON.stringify(key)}`).toEqual(
        indices(rows, (row) => row.place >= 0 && sees(row, key)),
      );
    }
  });
});

test("the mask is the paper's: a TODO part sees an example only through XP", () => {
  const rows = rowsOf(packing, [0, 0, 0, 0]);
  const count = (a: (row: Row) => boolean, b: (row: Row) => boolean) =>
    rows.flatMap((row) => rows.filter((key) => a(row) && b(key) && sees(row, key))).length;
  const todo = ({ part }: Row) => part === "todo";
  const example = ({ part, xp }: Row) => part === "example" && !xp;
  const xp = (row: Row) => row.xp;
  expect(count(todo, example)).toBe(0);
  expect(count(example, todo) + count(xp, todo)).toBe(0);
  expect(count(todo, xp)).toBe(todoRows(packing) * packing.examples * packing.xpTokens);
  expect(count(xp, example)).toBe(4 * 2 * 5);
});

describe.each([
  ["two examples per context", packing, tiny],
  ["one example, three TODO parts", { ...packing, examples: 1, todos: 3 }, tiny],
  ["three examples, one TODO part", { ...packing, examples: 3, todos: 1 }, tiny],
  ["grouped queries", packing, { ...tiny, keyValueHeads: 2 }],
  ["the causal mask", { ...packing, mask: "causal" }, tiny],
] as const)("%s", (_name, p, config) => {
  test("gives the same hidden states as dense attention over all rows", async () => {
    const padding = [0, 2, 3, 0, 1, 4].slice(0, p.contexts * p.examples);
    const rows = rowsOf(p, padding);
    const ours = packed(p, config);
    const theirs = hiddenStates(rows.length, config, (graph) => dense(graph, rows, config, p.mask));
    const weights = randomWeights(parameterShapes(ours.graph));
    const feeds = { tokens: array([rows.length], someTokens(rows.length)), ...layoutFeeds(p, rows) };
    const all = { ...feeds, ...asArrays(weights) };
    const read = indices(rows, ({ place }) => place >= 0);
    const expected = select(evaluate64([theirs], all)[0]!, read);
    expectClose(select(evaluate64([ours], all)[0]!, read), expected, { relative: 1e-9, what: "float64 " });
    const { computed } = await evaluate({ computed: ours }, feeds, weights);
    expectClose(select(computed, read), expected, { relative: 2e-5, what: "onnxruntime " });
  });
});

describe("the influence of examples on a TODO part", () => {
  const rows = rowsOf(packing, [0, 1, 2, 0]);
  const tokens = someTokens(rows.length);
  const ofTodo = indices(rows, ({ part }) => part === "todo");
  /** Hidden states of the TODO rows. */
  function todoStates(ids: readonly number[], config: DecoderConfig, layout = rows): NdArray {
    const states = packed(packing, config);
    const weights = asArrays(randomWeights(parameterShapes(states.graph)));
    const feeds = { tokens: array([ids.length], ids), ...layoutFeeds(packing, layout), ...weights };
    return select(evaluate64([states], feeds)[0]!, ofTodo);
  }
  const replaced = (wanted: (row: Row) => boolean) =>
    tokens.map((token, i) => (wanted(rows[i]!) ? (token + 1) % tiny.vocabularySize : token));
  /** TODO rows that differ, by context. */
  const differing = (a: NdArray, b: NdArray) =>
    [0, 1].map((context) => {
      const mine = indices(
        ofTodo.map((i) => rows[i]!),
        (row) => row.context === context,
      );
      return mine.filter((i) => String(select(a, [i]).data) !== String(select(b, [i]).data)).length;
    });
  const isExample = ({ part, xp, place }: Row) => part === "example" && !xp && place >= 0;
  const everyTodo = packing.todos * packing.todoLength;

  test("none after one layer, when XP has not seen the example yet; all after two", () => {
    const other = replaced((row) => isExample(row) && row.context === 0);
    const single = { ...tiny, layers: 1 };
    expect(differing(todoStates(tokens, single), todoStates(other, single))).toEqual([0, 0]);
    expect(differing(todoStates(tokens, tiny), todoStates(other, tiny))).toEqual([everyTodo, 0]);
  });

  test("its XP tokens, in any layer", () => {
    const other = replaced((row) => row.xp && row.context === 1);
    const single = { ...tiny, layers: 1 };
    expect(differing(todoStates(tokens, single), todoStates(other, single))).toEqual([0, everyTodo]);
  });

  test("nothing of padding", () => {
    const other = replaced(({ place }) => place < 0);
    expect(other).not.toEqual(tokens);
    expect(differing(todoStates(tokens, tiny), todoStates(other, tiny))).toEqual([0, 0]);
  });

  test("not their order", () => {
    const block = packing.exampleLength;
    const swapped = [block, 0, 2 * block, 3 * block].flatMap((start) => tokens.slice(start, start + block));
    const ids = [...swapped, ...tokens.slice(4 * block)];
    const states = todoStates(ids, tiny, rowsOf(packing, [1, 0, 2, 0]));
    expectClose(states, todoStates(tokens, tiny), { relative: 1e-12 });
    const others = [...tokens.slice(block, 2 * block), ...tokens.slice(block)];
    expect(differing(todoStates(others, tiny), todoStates(tokens, tiny))[0]).toBe(everyTodo);
  });

  test("not how much room they were padded to", () => {
    const wide: Packing = { ...packing, exampleLength: 10 };
    const states = packed(wide, tiny);
    const layout = rowsOf(wide, [3, 4, 5, 3]);
    const ids = [
      ...[0, 1, 2, 3].flatMap((e) => [5, 5, 5, ...tokens.slice(e * 7, (e + 1) * 7)]),
      ...tokens.slice(4 * 7),
    ];
    const weights = asArrays(randomWeights(parameterShapes(states.graph)));
    const feeds = { tokens: array([ids.length], ids), ...layoutFeeds(wide, layout), ...weights };
    const all = evaluate64([states], feeds)[0]!;
    const wanted = select(
      all,
      indices(layout, ({ part }) => part === "todo"),
    );
    expectClose(wanted, todoStates(tokens, tiny), { relative: 1e-12 });
  });
});

test("causalBias: each row sees itself and earlier rows", () => {
  expect([...causalBias(3)].map((value) => (value === 0 ? "see" : value))).toEqual([
    ...["see", HIDDEN, HIDDEN],
    ...["see", "see", HIDDEN],
    ...["see", "see", "see"],
  ]);
});
