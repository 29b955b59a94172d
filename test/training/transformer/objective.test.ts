import { describe, expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import { loraTargets } from "../../../src/chameleon/model/lora.ts";
import { HIDDEN } from "../../../src/chameleon/model/transformer.ts";
import { Graph, gradients, parameterShapes, type Tensor } from "../../../src/graph/index.ts";
import { Random } from "../../../src/random.ts";
import { nameOf } from "../../../src/training/optimizer/optimizer.ts";
import { type PackedBatch, packBatch } from "../../../src/training/transformer/data.ts";
import { type TokenVectors, tokenVectors } from "../../../src/training/transformer/expected-error.ts";
import { feedsOf, objective } from "../../../src/training/transformer/objective.ts";
import { answerRows, exampleRows, type Packing, todoRows } from "../../../src/xprompt/packing.ts";
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
import { array, evaluate, evaluate64, expectClose, type NdArray } from "../../graph/kit.ts";

const Z_LOSS = 0.01;
const EXPECTED = 3;

/** Random vectors of all tokens of a vocabulary, those of text included. */
function randomVectors(size: number): TokenVectors {
  const random = Random.of(1, "vectors");
  return { data: Float32Array.from({ length: 5 * size }, () => random.normal()), width: 5 };
}

/** A random batch over a small vocabulary. Rows have different loss weights; some have none. */
function randomBatch(packing: Packing, vocabularySize: number): PackedBatch {
  const random = Random.of(1, "batch");
  const ids = (count: number) =>
    BigInt64Array.from({ length: count }, () => BigInt(random.integer(0, vocabularySize - 1)));
  const places = (sequences: number, length: number, start: number) =>
    BigInt64Array.from({ length: sequences * length }, (_, i) => BigInt(start + (i % length)));
  const { contexts, examples, exampleLength, todos, todoLength } = packing;
  const [inExamples, inTodos] = [exampleRows(packing), todoRows(packing)];
  return {
    kind: "changes",
    packing,
    exampleTokens: ids(inExamples),
    examplePositions: places(contexts * examples, exampleLength, 0),
    examplePadding: Float32Array.from({ length: inExamples }, (_, i) => (i < 2 ? HIDDEN : 0)),
    todoTokens: ids(inTodos),
    todoPositions: places(contexts * todos, todoLength, 20),
    targets: ids(inTodos),
    weights: Float32Array.from({ length: inTodos }, (_, i) => (i % 3 === 0 ? 0 : random.uniform(0.1, 1))),
    targetWeights: Float32Array.from({ length: inTodos }, (_, i) => i % 2),
  };
}

/** The loss of a batch, the mean over its target codes, and the gradient of every parameter. */
function losses(packing: Packing, config: DecoderConfig, vectors?: TokenVectors) {
  const graph = new Graph();
  const expected = vectors && { weight: EXPECTED, vectors };
  const { loss, report } = objective(graph, packing, config, { zLoss: Z_LOSS, expected });
  const parameters = [...graph.parameters.values()];
  const slopes = gradients(loss, parameters);
  const gradientOf = Object.fromEntries(parameters.map((each, i) => [nameOf(each), slopes[i]!]));
  const { targetNll, expectedError } = report!;
  return { graph, loss, targetNll, expectedError, gradientOf: gradientOf as Record<string, Tensor> };
}

describe("value", () => {
  const tokenizers = tinyTokenizers();
  const config = { ...tiny, vocabularySize: tokenizers.text.vocabulary.size };
  const contexts = tinyContexts({ contexts: 2, examples: 2, todos: 2 });
  const weights = { target: 1, words: 1, query: 0.25, instruction: 0.5 };
  const batch = packBatch({ kind: "changes", contexts }, { xprompt: tinyXPrompt, weights }, tokenizers);
  const { graph, loss, targetNll } = losses(batch.packing, config);
  const values = randomWeights(parameterShapes(graph));
  const feeds = asFeeds(feedsOf(batch));

  test("a batch has the inputs of the graph", () => {
    const declared = [...graph.inputs].map(([name, { dtype, shape }]) => [name, dtype, ...shape]);
    const given = Object.entries(feedsOf(batch)).map(([name, { type, dims }]) => [name, type, ...dims]);
    expect(given.sort()).toEqual(declared.sort());
  });

  test("the weighted mean of cross-entropy and z-loss, and the plain mean over target codes", async () => {
    const logits = packedLogits(batch.packing, config);
    const [rows] = evaluate64([logits], { ...feeds, ...asArrays(values) });
    const [first, width] = [exampleRows(batch.packing), config.vocabularySize];
    let [total, weight, nats, codes] = [0, 0, 0, 0];
    for (const [i, target] of batch.targets.entries()) {
      const row = rows!.data.subarray((first + i) * width, (first + i + 1) * width);
      const logSum = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
      const nll = logSum - row[Number(target)]!;
      total += batch.weights[i]! * (nll + Z_LOSS * logSum ** 2);
      weight += batch.weights[i]!;
      nats += batch.targetWeights[i]! * nll;
      codes += batch.targetWeights[i]!;
    }
    expect(codes).toBe(2 * 2 * 4);
    const expected = { loss: array([], [total / weight]), targetNll: array([], [nats / codes]) };
    const computed = await evaluate({ loss, targetNll: targetNll! }, feeds, values);
    expectClose(computed.loss, expected.loss, { relative: 5e-6, what: "loss " });
    expectClose(computed.targetNll, expected.targetNll, { relative: 5e-6, what: "targetNll " });
  });

  test("the weighted mean of squared distances between mean and true vectors is added", async () => {
    const vectors = randomVectors(config.vocabularySize);
    const vectorOf = (token: number) => vectors.data.subarray(5 * token, 5 * (token + 1));
    const [rows] = evaluate64([packedLogits(batch.packing, config)], { ...feeds, ...asArrays(values) });
    const [first, width] = [exampleRows(batch.packing), config.vocabularySize];
    let [total, weight, errors, codes] = [0, 0, 0, 0];
    for (const [i, target] of batch.targets.entries()) {
      const row = rows!.data.subarray((first + i) * width, (first + i + 1) * width);
      const sum = row.reduce((sum, x) => sum + Math.exp(x), 0);
      const mean = [0, 0, 0, 0, 0];
      for (const [token, x] of row.entries())
        for (let k = 0; k < 5; k++) mean[k]! += (Math.exp(x) / sum) * vectorOf(token)[k]!;
      const error = mean.reduce((sum, x, k) => sum + (x - vectorOf(Number(target))[k]!) ** 2, 0);
      total += batch.weights[i]! * error;
      weight += batch.weights[i]!;
      errors += batch.targetWeights[i]! * error;
      codes += batch.targetWeights[i]!;
    }
    const withError = losses(batch.packing, config, vectors);
    const plain = await evaluate({ loss }, feeds, values);
    const computed = await evaluate(
      { loss: withError.loss, expectedError: withError.expectedError! },
      feeds,
      values,
    );
    const added = array([], [computed.loss.data[0]! - plain.loss.data[0]!]);
    expectClose(added, array([], [(EXPECTED * total) / weight]), { relative: 2e-5, what: "added " });
    const mean = array([], [errors / codes]);
    expectClose(computed.expectedError, mean, { relative: 5e-6, what: "expectedError " });
  });

  test("vectors of codes have mean 0 and a mean squared length of 1; those of text are zero", () => {
    const { vocabulary } = tokenizers.text;
    const codes = vocabulary.imageTokens.length;
    const random = Random.of(1, "codebook");
    const data = Float32Array.from({ length: 3 * codes }, () => random.normal(5, 2));
    const rows = tokenVectors({ data, shape: [codes, 3] }, vocabulary);
    expect([rows.width, rows.data.length]).toEqual([3, 3 * vocabulary.size]);
    const isCode = new Set(vocabulary.imageTokens);
    const mean = [0, 0, 0];
    let length = 0;
    for (let token = 0; token < vocabulary.size; token++)
      for (let k = 0; k < 3; k++) {
        const x = rows.data[3 * token + k]!;
        if (!isCode.has(token)) expect(x).toBe(0);
        mean[k]! += x / codes;
        length += x ** 2 / codes;
      }
    for (const x of mean) expect(x).toBeCloseTo(0, 6);
    expect(length).toBeCloseTo(1, 6);
    // Distances keep their proportions.
    const at = (code: number, k: number) => rows.data[3 * vocabulary.imageTokens[code]! + k]!;
    const ratio = (at(1, 0) - at(0, 0)) / (data[3]! - data[0]!);
    expect(at(2, 1) - at(0, 1)).toBeCloseTo(ratio * (data[7]! - data[1]!), 5);
  });

  test("rows without weight do not count", () => {
    const other = { ...feeds, targets: array(feeds.targets!.shape, feeds.targets!.data) };
    for (const [i, weight] of batch.weights.entries())
      if (weight === 0) other.targets.data[i] = (other.targets.data[i]! + 1) % config.vocabularySize;
    expect(other.targets.data).not.toEqual(feeds.targets!.data);
    const of = (fed: Record<string, NdArray>) => evaluate64([loss], { ...fed, ...asArrays(values) })[0];
    expect(of(other)).toEqual(of(feeds));
  });

  test.each([
    ["answers alone", 0, { examples: 2, todos: 2, long: false }],
    ["answers and instructions", 0.5, { examples: 2, todos: 2, long: false }],
    ["instructions without a query, longer than those with one", 0.5, { examples: 1, todos: 1, long: true }],
  ])(
    "%s: the loss is the same without the logits of other rows",
    (_name, instruction, { long, ...counts }) => {
      const words = Array(tinyXPrompt.maxTextTokens + 3).fill(tokenizers.text.vocabulary.textTokens[0]!);
      const [context] = tinyContexts({ contexts: 1, ...counts });
      const todos = context!.todos.map((todo) =>
        long ? { target: todo.target, instruction: words } : { ...todo, instruction: words.slice(3) },
      );
      const packed = packBatch(
        { kind: "changes", contexts: [{ ...context!, todos }] },
        { xprompt: tinyXPrompt, weights: { target: 1, words: 1, query: 0, instruction } },
        tokenizers,
      );
      const every = { ...packed, packing: { ...packed.packing, answerLength: undefined } };
      const [some, all] = [packed, every].map((each) => {
        const terms = losses(each.packing, config);
        return evaluate64([terms.loss, terms.targetNll!], { ...asFeeds(feedsOf(each)), ...asArrays(values) });
      });
      expect(answerRows(packed.packing)).toBeLessThan(answerRows(every.packing));
      for (const [i, { data }] of some!.entries()) expect(data[0]).toBeCloseTo(all![i]!.data[0]!, 10);
    },
  );
});

describe.each([
  ["two examples and two TODO parts", {}, undefined],
  ["the error of the expected picture as well", {}, randomVectors(tiny.vocabularySize)],
  ["shared keys, norms after each half", { keyValueHeads: 2, swinNorm: true }, undefined],
  [
    "low-rank adapters, own rows of the embedding and of the head",
    {
      adapter: {
        lora: { rank: 2, alpha: 3, targets: loraTargets },
        embeddingTokens: [20, 1, 4, 12, 7],
        headTokens: [10, 11, 12],
      },
    },
    undefined,
  ],
] as const)("gradient, %s", (_name, change, vectors) => {
  const config: DecoderConfig = { ...tiny, ...change };
  const packing: Packing = {
    contexts: 1,
    examples: 2,
    exampleLength: 6,
    xpTokens: 2,
    todos: 2,
    todoLength: 4,
    mask: "xprompt",
  };
  const { graph, loss, gradientOf } = losses(packing, config, vectors);
  const weights = randomWeights(parameterShapes(graph));
  const feeds = asFeeds(feedsOf(randomBatch(packing, config.vocabularySize)));
  const all = { ...feeds, ...asArrays(weights) };
  const exact = Object.fromEntries(
    evaluate64(Object.values(gradientOf), all).map((slope, i) => [Object.keys(gradientOf)[i]!, slope]),
  );

  test("agrees with finite differences in float64 for every parameter", () => {
    const lossAt = (name: string, i: number, by: number) => {
      const data = all[name]!.data.slice();
      data[i]! += by;
      return evaluate64([loss], { ...all, [name]: array(all[name]!.shape, data) })[0]!.data[0]!;
    };
    const difference = (name: string, i: number, step: number) =>
      (lossAt(name, i, step) - lossAt(name, i, -step)) / (2 * step);
    expect(Object.keys(exact)).toEqual([...weights.keys()]);
    for (const [name, { data }] of Object.entries(exact)) {
      const largest = data.reduce((best, x, i) => (Math.abs(x) > Math.abs(data[best]!) ? i : best), 0);
      expect(Math.abs(data[largest]!), name).toBeGreaterThan(1e-6);
      for (const i of [largest, Random.of(1, "element", name).integer(0, data.length - 1)])
        expectClose(array([], [data[i]!]), array([], [difference(name, i, 2 ** -16)]), {
          relative: 1e-5,
          absolute: 1e-8,
          what: `${name}, element ${i} `,
        });
    }
  });

  test("agrees with onnxruntime", async () => {
    const outputs = Object.entries(gradientOf).map(([name, slope]) => [`gradient of ${name}`, slope]);
    const computed = await evaluate<string>(Object.fromEntries(outputs), feeds, weights);
    for (const [name, slope] of Object.entries(exact))
      expectClose(computed[`gradient of ${name}`]!, slope, {
        relative: 2e-5,
        absolute: 1e-7,
        what: `${name} `,
      });
  });
});
