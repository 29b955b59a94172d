import { describe, expect, test } from "vitest";
import { add, Graph, multiply, tokenLoss } from "../../../src/graph/index.ts";
import { array, checkGradient, evaluate, expectClose, ids } from "../kit.ts";

describe("tokenLoss", () => {
  const leaves = (rows: number, vocabulary: number) => ({
    logits: { shape: [rows, vocabulary], range: [-4, 4] as const },
    targets: ids(
      [rows],
      Array.from({ length: rows }, (_, i) => (i * 3) % vocabulary),
    ),
  });

  test.each([
    [1, 2],
    [4, 7],
    [3, 1],
  ])("%i rows, vocabulary %i", async (rows, vocabulary) => {
    const given = leaves(rows, vocabulary);
    await checkGradient(({ logits, targets }) => tokenLoss(logits, targets).nll, given);
    await checkGradient(({ logits, targets }) => tokenLoss(logits, targets).logSumExp, given);
    await checkGradient(({ logits, targets }) => Object.values(tokenLoss(logits, targets)), given);
  });

  test("weighted, with a z-loss", async () => {
    await checkGradient(
      ({ logits, targets, weights }) => {
        const { nll, logSumExp } = tokenLoss(logits, targets);
        return multiply(weights, add(nll, multiply(multiply(logSumExp, logSumExp), 0.01)));
      },
      { ...leaves(5, 6), weights: { shape: [5], values: [1, 0, 0.25, 2, 0], fixed: true } },
    );
  });

  test("stands logits of any size", async () => {
    const graph = new Graph();
    const logits = graph.input("logits", "float32", ["rows", 3]);
    const loss = tokenLoss(logits, graph.input("targets", "int64", ["rows"]));
    const feeds = { logits: array([2, 3], [1000, 999, -1e9, -500, -500, -500]), targets: array([2], [1, 2]) };
    const { nll, logSumExp } = await evaluate({ ...loss }, feeds);
    expectClose(nll, array([2], [1 + Math.log(1 + Math.exp(-1)), Math.log(3)]));
    expectClose(logSumExp, array([2], [1000 + Math.log(1 + Math.exp(-1)), -500 + Math.log(3)]));
  });

  test("refuses targets for other rows", () => {
    const graph = new Graph();
    const logits = graph.input("logits", "float32", ["rows", 3]);
    expect(() => tokenLoss(logits, graph.input("targets", "int64", ["time"]))).toThrow(
      "crossEntropy: expected logits [rows, vocabulary] and int64 targets [rows], got [rows, 3] and int64 [time]",
    );
  });
});
