import { describe, expect, test } from "vitest";
import {
  averagePool,
  conv2d,
  convTranspose2d,
  Graph,
  type Padding,
  upsample,
} from "../../../src/graph/index.ts";
import { checkGradient } from "../kit.ts";

interface Setting {
  readonly n?: number;
  readonly size?: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride?: number;
  readonly padding?: number | Padding;
}

const settings: Setting[] = [
  { kernel: [1, 1] },
  { kernel: [1, 1], stride: 2, size: [5, 4] },
  { kernel: [3, 3], padding: 1 },
  { kernel: [3, 3], n: 3, size: [3, 4] },
  { kernel: [3, 3], stride: 2, padding: 1, size: [5, 6] },
  { kernel: [3, 3], stride: 2, padding: [0, 0, 1, 1], size: [4, 5] },
  { kernel: [3, 3], stride: 2, padding: [1, 0, 2, 1], size: [5, 5] },
  { kernel: [3, 3], padding: [2, 1, 0, 1], n: 3, size: [3, 3] },
  { kernel: [2, 3], stride: 3, size: [6, 7] },
  { kernel: [1, 3], padding: [0, 1, 0, 1], size: [2, 3] },
];
const CHANNELS = 2;
const OUT = 3;

describe("conv2d", () => {
  test.each(settings)("%o", async ({ n = 1, size = [4, 5], kernel, ...options }) => {
    await checkGradient(({ x, weight, bias }) => conv2d(x, weight, bias, options), {
      x: [n, CHANNELS, ...size],
      weight: [OUT, CHANNELS, ...kernel],
      bias: [OUT],
    });
    await checkGradient(({ x, weight }) => conv2d(x, weight, undefined, options), {
      x: [n, CHANNELS, ...size],
      weight: [OUT, CHANNELS, ...kernel],
    });
  });

  test("refuses other channels, and a kernel larger than the picture", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", ["n", 2, 4, 4]);
    expect(() => conv2d(x, graph.parameter("w", [3, 5, 3, 3]))).toThrow(
      "conv2d: expected images with 5 channels, got [n, 2, 4, 4]",
    );
    expect(() => conv2d(x, graph.parameter("large", [3, 2, 5, 3]))).toThrow("conv2d: expected");
    expect(() => conv2d(x, graph.parameter("v", [3, 2, 3, 3]), graph.parameter("b", [2]))).toThrow(
      "conv2d: expected a bias [3], got [2]",
    );
  });
});

describe("convTranspose2d", () => {
  test.each<Setting & { outputPadding?: number }>([
    { kernel: [1, 1] },
    { kernel: [3, 3], padding: 1 },
    { kernel: [2, 2], stride: 2, n: 3 },
    { kernel: [4, 4], stride: 2, padding: 1 },
    { kernel: [3, 3], stride: 2, padding: 1, outputPadding: 1 },
    { kernel: [3, 3], stride: 2, padding: [0, 1, 2, 1], outputPadding: 1 },
    { kernel: [3, 2], stride: 3, size: [2, 2], outputPadding: 2 },
  ])("%o", async ({ n = 1, size = [2, 3], kernel, ...options }) => {
    await checkGradient(({ x, weight, bias }) => convTranspose2d(x, weight, bias, options), {
      x: [n, CHANNELS, ...size],
      weight: [CHANNELS, OUT, ...kernel],
      bias: [OUT],
    });
    await checkGradient(({ x, weight }) => convTranspose2d(x, weight, undefined, options), {
      x: [n, CHANNELS, ...size],
      weight: [CHANNELS, OUT, ...kernel],
    });
  });

  test("refuses other channels, and an output padding as large as the stride", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [1, 2, 4, 4]);
    expect(() => convTranspose2d(x, graph.parameter("w", [5, 3, 3, 3]))).toThrow(
      "convTranspose2d: expected images with 5 channels, got [1, 2, 4, 4]",
    );
    const options = { stride: 2, outputPadding: 2 };
    expect(() => convTranspose2d(x, graph.parameter("v", [2, 3, 3, 3]), undefined, options)).toThrow(
      "convTranspose2d: expected",
    );
  });
});

describe.each([1, 2, 3])("by %i", (factor) => {
  test("upsample", async () => {
    await checkGradient(({ x }) => upsample(x, factor), { x: [2, 2, 3, 2] });
  });

  test("averagePool", async () => {
    await checkGradient(({ x }) => averagePool(x, factor), { x: [2, 2, 2 * factor, 3 * factor] });
  });
});

test("averagePool wants sides that divide by the factor, and finds that every multiple does", () => {
  const graph = new Graph();
  const pooled = (side: number, factor: number) =>
    averagePool(graph.input(`${side} by ${factor}`, "float32", [1, 1, side, side]), factor).shape;
  expect(pooled(98, 49)).toEqual([1, 1, 2, 2]);
  expect(() => pooled(5, 2)).toThrow(
    "averagePool: expected images whose sides divide by 2, got [1, 1, 5, 5]",
  );
});
