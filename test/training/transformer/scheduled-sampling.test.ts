/** @file Scheduled sampling against the most likely codes from the same logits in float64. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import { Graph, parameterShapes } from "../../../src/graph/index.ts";
import { Random } from "../../../src/random.ts";
import { TrainingState } from "../../../src/training/run/state.ts";
import type { Context } from "../../../src/training/transformer/context.ts";
import { packBatch } from "../../../src/training/transformer/data.ts";
import { feedsOf, predictions } from "../../../src/training/transformer/objective.ts";
import { ScheduledSampling } from "../../../src/training/transformer/scheduled-sampling.ts";
import { exampleRows } from "../../../src/xprompt/packing.ts";
import { type Codes, HIDDEN_CODE } from "../../../src/xprompt/sequence.ts";
import {
  asArrays,
  asFeeds,
  packedLogits,
  randomWeights,
  tiny,
  tinyContexts,
  tinyTokenizers,
  tinyXPrompt,
} from "../../fixtures/chameleon/kit.ts";
import { evaluate64 } from "../../graph/kit.ts";

const tokenizers = tinyTokenizers();
const { vocabulary } = tokenizers.text;
const config: DecoderConfig = { ...tiny, vocabularySize: vocabulary.size };
const imageTokens = [...vocabulary.imageTokens];

/** Two contexts. The first code of one target is masked, and that of another is replaced. */
const contexts = tinyContexts({ contexts: 2, examples: 2, todos: 2 });
const hidden = readAs(contexts[0]!.todos[0]!, () => HIDDEN_CODE);
const misread = readAs(contexts[1]!.todos[1]!, (code) => (code + 1) % imageTokens.length);
const batch = packBatch(
  {
    kind: "changes",
    contexts: [
      { ...contexts[0]!, todos: [hidden, contexts[0]!.todos[1]!] },
      { ...contexts[1]!, todos: [contexts[1]!.todos[0]!, misread] },
    ],
  },
  { xprompt: tinyXPrompt, weights: { target: 1, words: 1, query: 1, instruction: 1 } },
  tokenizers,
);

type Asked = Context<Codes>["todos"][number];
function readAs(asked: Asked, change: (code: number) => number): Asked {
  const { target } = asked;
  if (!("picture" in target)) throw new Error("expected a picture");
  const read = Array.from(target.picture, (code, i) => (i === 0 ? change(code) : code));
  return { ...asked, target: { picture: target.picture, read } };
}

let state: TrainingState;
let own: ScheduledSampling;
beforeAll(async () => {
  const graph = new Graph();
  predictions(graph, batch.packing, config);
  const shapes = parameterShapes(graph);
  state = new TrainingState(shapes);
  // Large logits, so that every sample is the most likely code.
  for (const [name, { data }] of randomWeights(shapes))
    state.values(name).set(name === "lm_head.weight" ? data.map((x) => 200 * x) : data);
  const predict = (graph: Graph) => predictions(graph, batch.packing, config);
  own = await ScheduledSampling.plan(predict, vocabulary.imageTokens).compile({ threads: 1 });
});
afterAll(() => own.release());

/** Token of the most likely code, by the row that predicts it. */
function likeliest(): number[] {
  const [all] = evaluate64([packedLogits(batch.packing, config)], {
    ...asFeeds(feedsOf(batch)),
    ...asArrays(state.weights()),
  });
  const [first, width] = [exampleRows(batch.packing), config.vocabularySize];
  return Array.from(batch.targets, (_, row) => {
    const logit = (token: number) => all!.data[(first + row) * width + token]!;
    return imageTokens.reduce((best, token) => (logit(token) > logit(best) ? token : best));
  });
}

test("a random share of the targets' true codes becomes the model's samples, and nothing else changes", async () => {
  const drawn = likeliest();
  const { todoLength } = batch.packing;
  /** Places with an unchanged code of a target. */
  const places = [...batch.todoTokens.keys()].filter(
    (i) =>
      i % todoLength > 0 && batch.targetWeights[i - 1] === 1 && batch.todoTokens[i] === batch.targets[i - 1],
  );
  expect(places).toHaveLength(4 * 4 - 2);
  const replaceable = places.filter((i) => BigInt(drawn[i - 1]!) !== batch.todoTokens[i]);
  expect(replaceable.length).toBeGreaterThan(6);
  let [replaced, runs] = [0, 0];
  for (; runs < 100; runs++) {
    const { todoTokens, ...rest } = await own.read(batch, state, Random.of(runs));
    expect(rest).toEqual({ ...batch, todoTokens: undefined });
    for (const [i, token] of todoTokens.entries()) {
      if (token === batch.todoTokens[i]) continue;
      expect(replaceable).toContain(i);
      expect(token).toBe(BigInt(drawn[i - 1]!));
      replaced++;
    }
  }
  const share = replaced / (runs * replaceable.length);
  expect(share).toBeGreaterThan(0.4);
  expect(share).toBeLessThan(0.6);
});

test("is deterministic from the seed", async () => {
  const read = async (seed: number) => (await own.read(batch, state, Random.of(seed))).todoTokens;
  expect(await read(1)).toEqual(await read(1));
  expect(await read(1)).not.toEqual(await read(2));
});
