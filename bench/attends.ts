/** @file Attention variants for comparison, which the package itself does not use. */
import type { DecoderConfig } from "../src/chameleon/checkpoint/config.ts";
import { type Attend, HIDDEN, headWidth, shareHeads } from "../src/chameleon/model/transformer.ts";
import {
  add,
  attention,
  concat,
  type Graph,
  reshape,
  rope,
  rotaryTables,
  split,
  type Tensor,
  transpose,
} from "../src/graph/index.ts";
import { causalBias, exampleRows, type Packing, todoRows } from "../src/xprompt/packing.ts";

/** Causal attention over `sequences` sequences of `length` rows each. Each starts at position 0. */
export function causalAttention(
  graph: Graph,
  sequences: number,
  length: number,
  config: DecoderConfig,
): Attend {
  const headDim = headWidth(config);
  const tables = rotaryTables(graph, length, headDim, config.rope);
  const all = BigInt64Array.from({ length: sequences * length }, (_, i) => BigInt(i % length));
  const positions = graph.constant(all, [sequences, length]);
  const bias = graph.constant(causalBias(length), [length, length]);
  const apart = (rows: Tensor) =>
    transpose(reshape(rows, [sequences, length, rows.shape[1]!, headDim]), [0, 2, 1, 3]);
  return (_layer, { queries, keys, values }) => {
    const mixed = attention(
      rope(apart(queries), positions, tables),
      shareHeads(rope(apart(keys), positions, tables), config),
      shareHeads(apart(values), config),
      bias,
    );
    return reshape(transpose(mixed, [0, 2, 1, 3]), [sequences * length, config.heads, headDim]);
  };
}

/** The model of a nano recipe. */
export const nanoSizes = {
  vocabularySize: 5448,
  hiddenSize: 256,
  intermediateSize: 704,
  layers: 6,
  heads: 8,
} as const;

/** The position of the first token of TODO parts. */
export const todoPositionOf = ({ exampleLength }: Packing): number => 64 * Math.ceil(exampleLength / 64);

/** Rows of one context: its examples, then its TODO parts. */
export const contextRows = (p: Packing): number => p.examples * p.exampleLength + p.todos * p.todoLength;

/**
 * Computes the same as `packedAttention` without using the structure: each context is one sequence with a dense mask over
 * all its rows. Takes the same inputs.
 */
export function denseAttention(graph: Graph, packing: Packing, config: DecoderConfig): Attend {
  const { contexts, examples, exampleLength, todos, todoLength } = packing;
  const headDim = headWidth(config);
  const rows = contextRows(packing);
  const sizes = [examples * exampleLength, todos * todoLength];
  const tables = rotaryTables(graph, Math.max(config.maxPositions, rows), headDim, config.rope);
  const input = (name: string, sequences: number, length: number) =>
    reshape(graph.input(name, "int64", [contexts * sequences, length]), [contexts, sequences * length]);
  const positions = concat(
    [input("example positions", examples, exampleLength), input("todo positions", todos, todoLength)],
    1,
  );
  const padding = graph.input("example padding", "float32", [contexts * examples, 1, 1, exampleLength]);
  const notPadded = graph.constant(new Float32Array(contexts * sizes[1]!), [contexts, 1, 1, sizes[1]!]);
  const bias = add(
    graph.constant(contextBias(packing), [rows, rows]),
    concat([reshape(padding, [contexts, 1, 1, sizes[0]!]), notPadded], 3),
  );

  /** Packed rows `[rows, heads, headDim]` → `[contexts, heads, rows of a context, headDim]`, and back. */
  const apart = (x: Tensor) => {
    const parts = split(x, 0, [exampleRows(packing), todoRows(packing)]);
    const byContext = parts.map((part, i) => reshape(part, [contexts, sizes[i]!, x.shape[1]!, headDim]));
    return transpose(concat(byContext, 1), [0, 2, 1, 3]);
  };
  const joined = (x: Tensor) => {
    const parts = split(transpose(x, [0, 2, 1, 3]), 1, sizes);
    return concat(
      parts.map((part, i) => reshape(part, [contexts * sizes[i]!, config.heads, headDim])),
      0,
    );
  };
  return (_layer, { queries, keys, values }) =>
    joined(
      attention(
        rope(apart(queries), positions, tables),
        shareHeads(rope(apart(keys), positions, tables), config),
        shareHeads(apart(values), config),
        bias,
      ),
    );
}

/** Bias `[rows, rows]` of one context: each part attends to itself causally; TODO parts also attend to all XP tokens. */
function contextBias(packing: Packing): Float32Array {
  const { examples, exampleLength, xpTokens, todoLength } = packing;
  const firstTodo = examples * exampleLength;
  const rows = contextRows(packing);
  const partOf = (row: number) =>
    row < firstTodo ? Math.floor(row / exampleLength) : examples + Math.floor((row - firstTodo) / todoLength);
  const isXp = (row: number) => row < firstTodo && row % exampleLength >= exampleLength - xpTokens;
  const sees = (row: number, key: number) =>
    (partOf(row) === partOf(key) && key <= row) || (row >= firstTodo && isXp(key));
  return Float32Array.from({ length: rows * rows }, (_, i) =>
    sees(Math.floor(i / rows), i % rows) ? 0 : HIDDEN,
  );
}
