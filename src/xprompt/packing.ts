/**
 * @file Packed sequences and attention mask of X-Prompt in training. A batch has several contexts; a context has
 * examples and the TODO parts that share them.
 *
 * Each example is its own sequence from position 0 and ends in its XP block. All TODO parts start at the same fixed
 * position. A TODO part sees itself and the XP blocks of all its examples, as a set; it sees an example only through XP
 * (paper: TD does not see IE). With the causal mask, for comparison, it sees its examples entirely. Attention is
 * computed block by block: no score is computed for a masked pair of blocks.
 */
import type { DecoderConfig } from "../chameleon/checkpoint/config.ts";
import { type Attend, HIDDEN, headWidth, shareHeads } from "../chameleon/model/transformer.ts";
import {
  add,
  attention,
  concat,
  equal,
  type Graph,
  pad,
  repeat,
  reshape,
  rope,
  rotaryTables,
  slice,
  split,
  type Tensor,
  transpose,
  where,
} from "../graph/index.ts";
import type { ExampleMask } from "./sequence.ts";

/** Sizes of a packed batch. */
export interface Packing {
  readonly contexts: number;
  /** Examples per context. */
  readonly examples: number;
  /** Tokens of an example, its XP block included. */
  readonly exampleLength: number;
  /** S: tokens of an XP block. */
  readonly xpTokens: number;
  /** TODO parts per context. */
  readonly todos: number;
  /** Tokens of a TODO part. */
  readonly todoLength: number;
  /** Rows per TODO part that may carry loss, if not all do. Logits are computed for these rows only. */
  readonly answerLength?: number;
  /** What TODO parts see of examples. */
  readonly mask: ExampleMask;
  /** Whether attention within a given picture is bidirectional. */
  readonly wholePictures?: boolean;
}

/** Rows of the examples in a packed batch. They come first, context by context; the rows of the TODO parts follow. */
export const exampleRows = (p: Packing): number => p.contexts * p.examples * p.exampleLength;
export const todoRows = (p: Packing): number => p.contexts * p.todos * p.todoLength;
/** Rows of TODO parts for which logits are computed. */
export const answerRows = (p: Packing): number => p.contexts * p.todos * (p.answerLength ?? p.todoLength);

/**
 * Attention over packed rows. Adds the inputs `example positions` and `todo positions` (int64 `[sequences, length]`)
 * and `example padding` (float32 `[examples, 1, 1, length]`: 0 for a visible key, `HIDDEN` for padding). With
 * bidirectional pictures it also adds `example segments` and `todo segments` (int64 `[sequences, length]`): all tokens
 * of a given picture have the same number, every other token a number of its own.
 * Padding comes before an example and after a TODO part, where the causal mask hides it.
 */
export function packedAttention(graph: Graph, packing: Packing, config: DecoderConfig): Attend {
  const { contexts, examples, exampleLength, xpTokens, todos, todoLength, mask } = packing;
  const [exampleCount, todoCount] = [contexts * examples, contexts * todos];
  /** Tokens at the end of an example that TODO parts see. */
  const kept = mask === "xprompt" ? xpTokens : exampleLength;
  const headDim = headWidth(config);
  const heads = config.keyValueHeads;
  const tables = rotaryTables(graph, config.maxPositions, headDim, config.rope);
  const examplePositions = graph.input("example positions", "int64", [exampleCount, exampleLength]);
  const todoPositions = graph.input("todo positions", "int64", [todoCount, todoLength]);
  const padding = graph.input("example padding", "float32", [exampleCount, 1, 1, exampleLength]);
  const causal = graph.constant(causalBias(exampleLength), [exampleLength, exampleLength]);
  /** A causal bias; with `wholePictures`, given pictures are bidirectional. */
  const whole = (bias: Tensor, name: string, sequences: number, length: number) => {
    if (!packing.wholePictures) return bias;
    const segments = graph.input(`${name} segments`, "int64", [sequences, length]);
    const along = (shape: readonly number[]) => reshape(segments, shape);
    const isSame = equal(along([sequences, 1, length, 1]), along([sequences, 1, 1, length]));
    return where(isSame, 0, bias);
  };
  const exampleBias = add(whole(causal, "example", exampleCount, exampleLength), padding);
  const todoOwn = graph.constant(causalBias(todoLength), [todoLength, todoLength]);
  const todoCausal = padFront(whole(todoOwn, "todo", todoCount, todoLength), examples * kept);
  const todoBias = mask === "xprompt" ? todoCausal : add(todoCausal, seenPadding(graph, packing, padding));

  /** Splits rows `[rows, heads, headDim]` into examples and TODO parts, each `[sequences, heads, length, headDim]`. */
  const splitParts = (rows: Tensor) => {
    const [first, second] = split(rows, 0, [exampleRows(packing), todoRows(packing)]);
    const sequences = (part: Tensor, count: number, length: number) =>
      transpose(reshape(part, [count, length, rows.shape[1]!, headDim]), [0, 2, 1, 3]);
    return [
      sequences(first!, exampleCount, exampleLength),
      sequences(second!, todoCount, todoLength),
    ] as const;
  };
  /** The XP blocks of a context's examples, repeated per TODO part: `[todos, heads, examples · S, headDim]`. */
  const exampleBlocks = (blocks: Tensor) => {
    const last = slice(blocks, 2, exampleLength - kept, exampleLength);
    const byContext = transpose(reshape(last, [contexts, examples, heads, kept, headDim]), [0, 2, 1, 3, 4]);
    const set = reshape(byContext, [contexts, heads, examples * kept, headDim]);
    return reshape(repeat(set, 1, todos), [todoCount, heads, examples * kept, headDim]);
  };
  const joined = (sequences: Tensor, count: number) =>
    reshape(transpose(sequences, [0, 2, 1, 3]), [count, config.heads, headDim]);

  return (_layer, { queries, keys, values }) => {
    const [exampleQueries, todoQueries] = splitParts(queries);
    const [exampleKeys, todoKeys] = splitParts(keys);
    const [exampleValues, todoValues] = splitParts(values);
    const rotateExamples = (x: Tensor) => rope(x, examplePositions, tables);
    const rotateTodos = (x: Tensor) => rope(x, todoPositions, tables);
    const seen = rotateExamples(exampleKeys);
    const attend = (q: Tensor, k: Tensor, v: Tensor, bias: Tensor) =>
      attention(q, shareHeads(k, config), shareHeads(v, config), bias);
    const attendedExamples = attend(rotateExamples(exampleQueries), seen, exampleValues, exampleBias);
    const attendedTodos = attend(
      rotateTodos(todoQueries),
      concat([exampleBlocks(seen), rotateTodos(todoKeys)], 2),
      concat([exampleBlocks(exampleValues), todoValues], 2),
      todoBias,
    );
    return concat(
      [joined(attendedExamples, exampleRows(packing)), joined(attendedTodos, todoRows(packing))],
      0,
    );
  };
}

/** Prepends `count` zeros on the last axis: keys that all rows see. */
const padFront = (bias: Tensor, count: number): Tensor => pad(bias, bias.rank - 1, count, 0);

/** Bias per TODO part: the padding of its examples, 0 for itself: `[todos, 1, 1, examples · length + todoLength]`. */
function seenPadding(
  graph: Graph,
  { contexts, examples, exampleLength, todos, todoLength }: Packing,
  padding: Tensor,
): Tensor {
  const set = reshape(padding, [contexts, 1, 1, examples * exampleLength]);
  const ofTodos = reshape(repeat(set, 1, todos), [contexts * todos, 1, 1, examples * exampleLength]);
  const own = graph.constant(new Float32Array(contexts * todos * todoLength), [
    contexts * todos,
    1,
    1,
    todoLength,
  ]);
  return concat([ofTodos, own], 3);
}

/** The causal mask as a bias of attention scores, `[length, length]`: each row sees itself and the rows before it. */
export function causalBias(length: number): Float32Array {
  return Float32Array.from({ length: length * length }, (_, i) =>
    i % length > Math.floor(i / length) ? HIDDEN : 0,
  );
}
