/** @file One side of `bench attention`, in its own process so that its peak memory can be measured. */
import type { DecoderConfig } from "../src/chameleon/checkpoint/config.ts";
import { embed, HIDDEN, head, transformer } from "../src/chameleon/model/transformer.ts";
import {
  add,
  concat,
  divide,
  Graph,
  multiply,
  parameterShapes,
  reshape,
  split,
  sum,
  tokenLoss,
} from "../src/graph/index.ts";
import { Random } from "../src/random.ts";
import { optimizerSchema } from "../src/training/optimizer/optimizer.ts";
import { initialize, TrainingState } from "../src/training/run/state.ts";
import { type Objective, TrainingStep } from "../src/training/run/step.ts";
import type { PackedBatch } from "../src/training/transformer/data.ts";
import { feedsOf, objective } from "../src/training/transformer/objective.ts";
import { exampleRows, type Packing, todoRows } from "../src/xprompt/packing.ts";
import { denseAttention, nanoSizes, todoPositionOf } from "./attends.ts";
import { serve } from "./worker.ts";

const Z_LOSS = 1e-5;

interface Settings {
  readonly attention: "structured" | "dense";
  readonly packing: Packing;
  readonly threads: number;
}

/** The training objective with dense attention, otherwise equal to `objective`. */
function denseObjective(graph: Graph, packing: Packing, config: DecoderConfig): Objective {
  const w = graph.scope();
  const { contexts, examples, exampleLength, todos, todoLength } = packing;
  const ids = (name: string, sequences: number, length: number) =>
    reshape(graph.input(name, "int64", [sequences, length]), [sequences * length]);
  const tokens = [
    ids("example tokens", contexts * examples, exampleLength),
    ids("todo tokens", contexts * todos, todoLength),
  ];
  const x = embed(w, concat(tokens, 0), config);
  const hidden = transformer(w, x, denseAttention(graph, packing, config), config, { stacked: false });
  const [, ofTodos] = split(hidden, 0, [exampleRows(packing), todoRows(packing)]);
  const rows = [todoRows(packing)];
  const { nll, logSumExp } = tokenLoss(head(w, ofTodos!, config), graph.input("targets", "int64", rows));
  const perRow = add(nll, multiply(multiply(logSumExp, logSumExp), Z_LOSS));
  const weighted = (name: string, perRow: typeof nll) => {
    const weights = graph.input(name, "float32", rows);
    return divide(
      sum(multiply(perRow, weights), 0, { keep: false }),
      add(sum(weights, 0, { keep: false }), 1e-6),
    );
  };
  return { loss: weighted("weights", perRow), report: { targetNll: weighted("target weights", nll) } };
}

/** A batch of random tokens in the trainer's layout: examples are padded on the left, TODO parts on the right. */
function randomBatch(packing: Packing, config: DecoderConfig): PackedBatch {
  const random = Random.of(0, "batch");
  const { contexts, examples, exampleLength, todos, todoLength } = packing;
  const [exampleCount, todoCount] = [contexts * examples, contexts * todos];
  const token = () => BigInt(random.integer(0, config.vocabularySize - 1));
  const padded = Array.from({ length: exampleCount }, () => random.integer(0, 12));
  const inExample = <T>(of: (fromStart: number) => T) =>
    padded.flatMap((before) => Array.from({ length: exampleLength }, (_, i) => of(i - before)));
  const todoRowCount = todoCount * todoLength;
  const { answerLength = todoLength } = packing;
  /** The last tokens of a TODO part carry the loss. */
  const weights = Float32Array.from({ length: todoRowCount }, (_, i) =>
    i % todoLength < todoLength - answerLength ? 0 : 1,
  );
  return {
    kind: "changes",
    packing,
    exampleTokens: BigInt64Array.from({ length: exampleCount * exampleLength }, token),
    examplePositions: BigInt64Array.from(inExample((i) => BigInt(Math.max(0, i)))),
    examplePadding: Float32Array.from(inExample((i) => (i < 0 ? HIDDEN : 0))),
    todoTokens: BigInt64Array.from({ length: todoRowCount }, token),
    todoPositions: BigInt64Array.from({ length: todoRowCount }, (_, i) =>
      BigInt(config.maxPositions / 2 + (i % todoLength)),
    ),
    targets: BigInt64Array.from({ length: todoRowCount }, token),
    weights,
    targetWeights: weights,
  };
}

const { attention, packing, threads } = JSON.parse(process.argv[2]!) as Settings;
const config: DecoderConfig = {
  ...nanoSizes,
  keyValueHeads: nanoSizes.heads,
  rmsNormEpsilon: 1e-5,
  rope: { theta: 10_000 },
  maxPositions: 2 * todoPositionOf(packing),
  swinNorm: false,
};
const build = (graph: Graph) =>
  attention === "dense"
    ? denseObjective(graph, packing, config)
    : objective(graph, packing, config, { zLoss: Z_LOSS });
const graph = new Graph();
build(graph);
const state = new TrainingState(parameterShapes(graph));
initialize(
  state,
  (name) => Random.of(0, "weights", name),
  (name) =>
    /norm\.weight$/.test(name) ? { constant: 1 } : /bias$/.test(name) ? { constant: 0 } : { deviation: 0.05 },
);
const optimizer = optimizerSchema.parse({
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  weightDecay: 0.05,
  clipNorm: 1,
});
const step = await TrainingStep.plan(build, optimizer).compile({ threads });
const batch = randomBatch(packing, config);
// With dense attention the logits of all TODO rows are computed.
const feeds = feedsOf(
  attention === "dense" ? { ...batch, packing: { ...packing, answerLength: undefined } } : batch,
);
const first = await step.run(state, feeds, 1e-3);
const parameters = [...state.parameters.values()].reduce(
  (n, shape) => n + shape.reduce((a, b) => a * b, 1),
  0,
);
await serve({ parameters, loss: first.loss }, { step: () => step.run(state, feeds, 1e-3) });
