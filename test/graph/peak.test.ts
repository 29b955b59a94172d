import { expect, test } from "vitest";
import { add, Graph, gradients, mean, multiply, peakBytes, reshape, tanh } from "../../src/graph/index.ts";

const input = (length = 8) => new Graph().input("x", "float32", [length]);

test("a chain counts an operator's inputs and outputs, but not those of the graph", () => {
  const x = input();
  expect(peakBytes([tanh(x)])).toBe(0);
  expect(peakBytes([tanh(tanh(x))])).toBe(32);
  expect(peakBytes([tanh(tanh(tanh(tanh(x))))])).toBe(2 * 32);
});

test("a value lives until its last use", () => {
  const x = input();
  const first = tanh(x);
  const chain = tanh(tanh(first));
  expect(peakBytes([tanh(add(chain, first))])).toBe(3 * 32);
  expect(peakBytes([tanh(add(chain, first)), first])).toBe(2 * 32);
});

test("a reshape holds nothing of its own, and its input while it is used", () => {
  const x = input();
  const first = tanh(x);
  const shaped = reshape(first, [2, 4]);
  expect(peakBytes([tanh(shaped)])).toBe(32);
  expect(peakBytes([tanh(add(tanh(tanh(shaped)), shaped))])).toBe(3 * 32);
  expect(peakBytes([shaped])).toBe(0);
});

test("gradients keep the values they need of every layer", () => {
  const held = (layers: number) => {
    const graph = new Graph();
    let x = graph.input("x", "float32", [64]);
    for (let i = 0; i < layers; i++) x = tanh(multiply(x, graph.parameter(`w${i}`, [64])));
    const loss = mean(x, undefined, { keep: false });
    return peakBytes([...gradients(loss, [...graph.parameters.values()]), loss]);
  };
  const layer = held(21) - held(20);
  expect(layer).toBeGreaterThanOrEqual(256);
  expect(layer).toBeLessThanOrEqual(2 * 256);
  expect(held(20) - held(19)).toBe(layer);
});

test("a size that only a run knows is refused", () => {
  const x = new Graph().input("x", "float32", ["batch", 8]);
  expect(() => peakBytes([tanh(tanh(x))])).toThrow("memory: expected known dimensions, got [batch, 8]");
});
