/** @file The transformer's training objective as a graph, and its feeds. */
import type { DecoderConfig } from "../../chameleon/checkpoint/config.ts";
import { embed, head, transformer } from "../../chameleon/model/transformer.ts";
import {
  add,
  concat,
  divide,
  embedding,
  type Graph,
  multiply,
  reshape,
  split,
  sum,
  type Tensor,
  tokenLoss,
} from "../../graph/index.ts";
import { type Feeds, float32, int64 } from "../../runtime/session.ts";
import { answerRows, exampleRows, type Packing, packedAttention, todoRows } from "../../xprompt/packing.ts";
import type { Objective } from "../run/step.ts";
import type { PackedBatch } from "./data.ts";
import { expectedError, type TokenVectors } from "./expected-error.ts";

/** Next-token logits of every TODO row that may have loss weight, `[rows, vocabulary]`. */
export function predictions(graph: Graph, packing: Packing, config: DecoderConfig): Tensor {
  const w = graph.scope();
  const { contexts, examples, exampleLength, todos, todoLength } = packing;
  const ids = (name: string, sequences: number, length: number) =>
    reshape(graph.input(`${name} tokens`, "int64", [sequences, length]), [sequences * length]);
  const tokens = concat(
    [ids("example", contexts * examples, exampleLength), ids("todo", contexts * todos, todoLength)],
    0,
  );
  const attend = packedAttention(graph, packing, config);
  const ofTodos = (rows: Tensor) => split(rows, 0, [exampleRows(packing), todoRows(packing)])[1]!;
  const answers =
    packing.answerLength === undefined ? undefined : graph.input("answers", "int64", [answerRows(packing)]);
  const select = (rows: Tensor) => (answers ? embedding(answers, ofTodos(rows)) : ofTodos(rows));
  return head(
    w,
    transformer(w, embed(w, tokens, config), attend, config, { select, stacked: false }),
    config,
  );
}

/** Terms of the loss beside the cross-entropy. */
export interface Terms {
  /** Weight of the z-loss. */
  readonly zLoss: number;
  /** The error of the expected picture, with its weight. */
  readonly expected?: { readonly weight: number; readonly vectors: TokenVectors };
}

/**
 * The weighted mean over TODO rows of −log p(next token) + `zLoss` · log² Z + `expected.weight` · `expectedError`.
 * Reports `targetNll`, the mean NLL over the rows with a target weight, and `expectedError`, likewise.
 */
export function objective(
  graph: Graph,
  packing: Packing,
  config: DecoderConfig,
  { zLoss, expected }: Terms,
): Objective {
  const rows = answerRows(packing);
  const logits = predictions(graph, packing, config);
  const targets = graph.input("targets", "int64", [rows]);
  const { nll, logSumExp } = tokenLoss(logits, targets);
  const likelihood = add(nll, multiply(multiply(logSumExp, logSumExp), zLoss));
  const weights = graph.input("weights", "float32", [rows]);
  const targetWeights = graph.input("target weights", "float32", [rows]);
  const targetNll = weightedMean(nll, targetWeights);
  if (!expected) return { loss: weightedMean(likelihood, weights), report: { targetNll } };
  const error = expectedError(logits, targets, expected.vectors);
  return {
    loss: weightedMean(add(likelihood, multiply(error, expected.weight)), weights),
    report: { targetNll, expectedError: weightedMean(error, targetWeights) },
  };
}

/** The feeds of a batch, by the names of the objective's inputs. */
export function feedsOf(batch: PackedBatch): Feeds {
  const { contexts, examples, exampleLength, todos, todoLength } = batch.packing;
  const [exampleCount, todoCount] = [contexts * examples, contexts * todos];
  return {
    "example tokens": int64(batch.exampleTokens, [exampleCount, exampleLength]),
    "example positions": int64(batch.examplePositions, [exampleCount, exampleLength]),
    "example padding": float32(batch.examplePadding, [exampleCount, 1, 1, exampleLength]),
    ...(batch.packing.wholePictures && {
      "example segments": int64(batch.exampleSegments!, [exampleCount, exampleLength]),
      "todo segments": int64(batch.todoSegments!, [todoCount, todoLength]),
    }),
    "todo tokens": int64(batch.todoTokens, [todoCount, todoLength]),
    "todo positions": int64(batch.todoPositions, [todoCount, todoLength]),
    ...answerFeeds(batch),
  };
}

/** Targets and weights of all TODO rows, or only of those with loss weight if the packing has an answer length. */
function answerFeeds(batch: PackedBatch): Feeds {
  const count = answerRows(batch.packing);
  if (batch.packing.answerLength === undefined)
    return {
      targets: int64(batch.targets, [count]),
      weights: float32(batch.weights, [count]),
      "target weights": float32(batch.targetWeights, [count]),
    };
  const rows = rowsWithLoss(batch);
  /** Rows beyond those with loss have weight 0. */
  const filled = (values: Float32Array) => {
    const all = new Float32Array(count);
    for (const [i, row] of rows.entries()) all[i] = values[row]!;
    return float32(all, [count]);
  };
  const places = BigInt64Array.from({ length: count }, (_, i) => BigInt(rows[i] ?? 0));
  return {
    answers: int64(places, [count]),
    targets: int64(
      places.map((row) => batch.targets[Number(row)]!),
      [count],
    ),
    weights: filled(batch.weights),
    "target weights": filled(batch.targetWeights),
  };
}

/** The TODO rows whose logits are computed, in order. */
export function rowsWithLoss({ packing, weights, targetWeights }: PackedBatch): number[] {
  const all = [...weights.keys()];
  if (packing.answerLength === undefined) return all;
  return all.filter((row) => weights[row]! > 0 || targetWeights[row]! > 0);
}

/** Avoids a division by zero where all weights are zero. */
const EPSILON = 1e-6;

function weightedMean(x: Tensor, weights: Tensor): Tensor {
  const total = (y: Tensor) => sum(y, 0, { keep: false });
  return divide(total(multiply(x, weights)), add(total(weights), EPSILON));
}

/** The denominator of a batch's loss. */
export const weightOf = ({ weights }: Pick<PackedBatch, "weights">): number => totalOf(weights) + EPSILON;

/** The denominator of its `targetNll`. */
export const targetWeightOf = ({ targetWeights }: Pick<PackedBatch, "targetWeights">): number =>
  totalOf(targetWeights) + EPSILON;

const totalOf = (weights: Float32Array): number => weights.reduce((sum, weight) => sum + weight, 0);
