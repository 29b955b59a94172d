/** @file Attention and rotary positions. */
import type { Graph, Tensor } from "../graph.ts";
import { float, MICROSOFT } from "../onnx-writer.ts";
import { operator, operators } from "../operator.ts";
import { addDims, broadcastShapes, formatShape, ShapeError, sameShape } from "../shape.ts";
import { multiply, negate, subtract } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { sum } from "./reduction.ts";

/**
 * softmax(Q Kᵀ / √headDim + bias) V.
 *
 * With P the probabilities:  dV = Pᵀ dO,  dP = dO Vᵀ,  dS = P ⊙ (dP − Σ dO ⊙ O),  dQ = dS K / √d,  dK = dSᵀ Q / √d.
 * The sum runs over the head width, which is much shorter than the keys (https://arxiv.org/abs/2205.14135).
 *
 * @param queries `[batch, heads, time, headDim]`
 * @param keys `[batch, heads, length, headDim]`, same for values
 * @param bias added to the scores, broadcast: 0 for visible keys, a large negative number for masked ones. No gradient.
 * @returns `[batch, heads, time, headDim]`
 */
export function attention(queries: Tensor, keys: Tensor, values: Tensor, bias?: Tensor): Tensor {
  return attend(bias ? [queries, keys, values, bias] : [queries, keys, values], {})[0]!;
}
const attend = operators("attention", {
  results: 1,
  infer([queries, keys, values, bias]) {
    const [batch, heads, time, headDim] = queries!.shape;
    const length = keys!.shape[2]!;
    const expected = [batch!, heads!, length, headDim!];
    if (queries!.rank !== 4 || !sameShape(keys!.shape, expected) || !sameShape(values!.shape, expected))
      throw new ShapeError(
        `expected keys and values ${formatShape(expected)} for queries ${formatShape(queries!.shape)}, got ${formatShape(keys!.shape)} and ${formatShape(values!.shape)}`,
      );
    const scores = [batch!, heads!, time!, length];
    if (bias && !sameShape(broadcastShapes(bias.shape, scores), scores))
      throw new ShapeError(
        `expected a bias that broadcasts to ${formatShape(scores)}, got ${formatShape(bias.shape)}`,
      );
    return [queries!, { dtype: queries!.dtype, shape: scores }];
  },
  emit(writer, [queries, keys, values, bias], _attributes, { inputs: [q] }) {
    const alpha = float(scaleOf(q!));
    const scores = writer.node("FusedMatMul", [queries!, keys!], { transA: 0, transB: 1, alpha }, MICROSOFT);
    const biased = bias ? writer.node("Add", [scores, bias]) : scores;
    const probabilities = writer.node("Softmax", [biased], { axis: -1 });
    return [writer.node("MatMul", [probabilities, values!]), probabilities];
  },
  gradient([queries, keys, values], [output, probabilities], [dOutput]) {
    const scale = scaleOf(queries!);
    const dValues = matmul(probabilities!, dOutput!, { transposeX: true });
    const dProbabilities = matmul(dOutput!, values!, { transposeY: true });
    const rowSums = sum(multiply(dOutput!, output!), -1);
    const dScores = multiply(probabilities!, subtract(dProbabilities, rowSums));
    return [
      matmul(dScores, keys!, { scale }),
      matmul(dScores, queries!, { transposeX: true, scale }),
      dValues,
    ];
  },
});

/** Keys and values, `[batch, keyValueHeads, length, headDim]` each. */
export interface KeysValues {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/**
 * softmax(Q [past K; K]ᵀ + bias) [past V; V] for decoding. The scores of past and new keys are concatenated, not the keys
 * themselves, which would copy the whole past. Queries that share keys are rows of one product. No gradient.
 *
 * @param queries `[batch, heads, time, headDim]`, already divided by √headDim: onnxruntime multiplies a single row without
 *   packing the matrix only if there is no factor to apply
 * @param lengths int64 `[2]`: the numbers of past and new positions
 * @param bias `[batch, 1, time, past + time]`, added to the scores
 * @returns `[batch, heads, time, headDim]`
 */
export const attentionToPast = (
  queries: Tensor,
  past: KeysValues,
  now: KeysValues,
  lengths: Tensor,
  bias: Tensor,
): Tensor => attendToPast([queries, past.keys, past.values, now.keys, now.values, lengths, bias], {});
const attendToPast = operator("attentionToPast", {
  infer([queries, pastKeys, pastValues, keys, values, , bias]) {
    const [batch, heads, time, headDim] = queries!.shape;
    const shared = keys!.shape[1]!;
    const [past, now] = [pastKeys, keys].map((each) => [batch!, shared, each!.shape[2]!, headDim!]);
    const fits =
      [pastKeys, pastValues].every((each) => sameShape(each!.shape, past!)) &&
      [keys, values].every((each) => sameShape(each!.shape, now!));
    if (!fits || (heads as number) % (shared as number) !== 0)
      throw new ShapeError(
        `expected keys and values of whole groups of queries ${formatShape(queries!.shape)}, got ${[pastKeys, pastValues, keys, values].map((each) => formatShape(each!.shape)).join(", ")}`,
      );
    const scores = [batch!, 1, time!, addDims(past![2]!, now![2]!)];
    if (!sameShape(bias!.shape, scores))
      throw new ShapeError(`expected a bias ${formatShape(scores)}, got ${formatShape(bias!.shape)}`);
    return queries!;
  },
  emit(writer, [queries, pastKeys, pastValues, keys, values, lengths, bias], _attributes, { inputs }) {
    const [heads, shared, headDim] = [
      inputs[0]!.shape[1],
      inputs[3]!.shape[1],
      inputs[0]!.shape[3],
    ] as number[];
    // In a Reshape, 0 keeps a size and −1 is computed from the others.
    const shape = (x: string, ...sizes: number[]) =>
      heads === shared ? x : writer.node("Reshape", [x, writer.ints(sizes)]);
    const grouped = shape(queries!, 0, shared!, -1, headDim!);
    const score = (k: string) =>
      writer.node("FusedMatMul", [grouped, k], { transA: 0, transB: 1, alpha: float(1) }, MICROSOFT);
    const scores = shape(
      writer.node("Concat", [score(pastKeys!), score(keys!)], { axis: 3 }),
      0,
      heads!,
      -1,
      0,
    );
    const probabilities = writer.node("Softmax", [writer.node("Add", [scores, bias!])], { axis: -1 });
    const [ofPast, ofNow] = writer.nodeOutputs(
      "Split",
      [shape(probabilities, 0, shared!, -1, 0), lengths!],
      2,
      {
        axis: 3,
      },
    );
    const mixed = [writer.node("MatMul", [ofPast!, pastValues!]), writer.node("MatMul", [ofNow!, values!])];
    return shape(writer.node("Add", mixed), 0, heads!, -1, headDim!);
  },
});

const scaleOf = (queries: Tensor): number => 1 / Math.sqrt(queries.shape[3] as number);

/** cos and sin of every position's angles, `[length, headDim / 2]` each, in the rotate-half convention. */
export interface RotaryTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** The frequencies of rotary positions. */
export interface Rotation {
  /** The base θ: the frequency of pair i is θ^(−2i/headDim). */
  readonly theta: number;
  /** Divisor of positions (linear scaling). Defaults to 1. */
  readonly factor?: number;
}

/**
 * Angles position / factor · θ^(−2i/headDim), i < headDim/2 (https://arxiv.org/abs/2104.09864).
 * @param scale a factor that `rope` applies with the rotation, at no cost
 */
export function rotaryTables(
  graph: Graph,
  length: number,
  headDim: number,
  { theta, factor = 1 }: Rotation,
  scale = 1,
): RotaryTables {
  const half = headDim / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => theta ** (-i / half));
  const table = (of: (angle: number) => number) => {
    const values = new Float32Array(length * half);
    for (let position = 0, at = 0; position < length; position++)
      for (const frequency of frequencies) values[at++] = scale * of((position / factor) * frequency);
    return graph.constant(values, [length, half]);
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/**
 * Rotates each pair (xᵢ, xᵢ₊ₕₐₗ𝒻) by its position's angle. The gradient is the rotation back.
 *
 * @param x `[batch, heads, time, headDim]` @param positions int64 `[batch, time]`, below the tables' length
 */
export const rope = (x: Tensor, positions: Tensor, { cos, sin }: RotaryTables): Tensor =>
  rotate([x, positions, cos, sin], {});
const rotate = operator("rope", {
  infer([x, positions, cos]) {
    const [batch, , time, headDim] = x!.shape;
    const [length, half] = cos!.shape as readonly number[];
    if (!sameShape(positions!.shape, [batch!, time!]) || half! * 2 !== headDim)
      throw new ShapeError(
        `expected positions ${formatShape([batch!, time!])} and tables for width ${headDim}, got ${formatShape(positions!.shape)} and ${formatShape(cos!.shape)}`,
      );
    // onnxruntime requires this for any positions.
    if (typeof time === "number" && time > length!)
      throw new ShapeError(`expected tables of at least ${time} rows, got ${length}`);
    return x!;
  },
  emit: (writer, inputs) => writer.node("RotaryEmbedding", inputs, { interleaved: 0 }, MICROSOFT),
  gradient: ([, positions, cos, sin], _y, dy) => [
    rope(dy, positions!, { cos: cos!, sin: negate(sin!) }),
    null,
    null,
    null,
  ],
});
