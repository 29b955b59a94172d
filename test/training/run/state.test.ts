import { describe, expect, test } from "vitest";
import { Random } from "../../../src/random.ts";
import { initialize, TrainingState } from "../../../src/training/run/state.ts";

const shapes = new Map<string, readonly number[]>([
  ["layer.weight", [40, 50]],
  ["layer.bias", [50]],
  ["norm.weight", [50]],
]);
const filled = (seed = 1, parameters = shapes) => {
  const state = new TrainingState(parameters);
  initialize(
    state,
    (name) => Random.of(seed, name),
    (name, shape) =>
      name === "norm.weight" ? { constant: 1 } : shape.length > 1 ? { deviation: 0.25 } : { constant: 0 },
  );
  return state;
};

test("keeps one moment per parameter of Muon", () => {
  const matrix = "model.layers.0.mlp.up_proj.weight";
  const state = new TrainingState(new Map([...shapes, [matrix, [4, 6]]]), undefined, { matrices: "muon" });
  expect([...state.buffers.keys()].filter((name) => name.endsWith(matrix))).toEqual([
    matrix,
    `mean of ${matrix}`,
  ]);
  expect(state.buffers.has("variance of layer.weight")).toBe(true);
});

test("keeps a weight and two moments per parameter, initially zero", () => {
  const state = new TrainingState(shapes);
  expect([...state.buffers.keys()]).toHaveLength(9);
  expect(state.values("layer.weight")).toEqual(new Float32Array(2000));
  expect(state.values("layer.bias", "mean")).toEqual(new Float32Array(50));
  expect(state.values("layer.bias", "variance")).not.toBe(state.values("layer.bias", "mean"));
  expect(state.step).toBe(0);
  expect(() => state.values("layer.wieght")).toThrow("no parameter layer.wieght");
});

test("weights and feeds are views of the values", () => {
  const state = new TrainingState(shapes);
  state.values("norm.weight")[3] = 7;
  expect(state.weights().get("norm.weight")).toMatchObject({ dtype: "float32", shape: [50] });
  expect(state.weights().get("norm.weight")!.data[3]).toBe(7);
  expect(Object.keys(state.feeds())).toEqual([...shapes.keys()]);
  expect(state.feeds()["layer.weight"]!.dims).toEqual([40, 50]);
  expect(state.feeds()["norm.weight"]!.data[3]).toBe(7);
});

describe("initialize", () => {
  test("fills weights with normal numbers, ones or zeros, and leaves the moments alone", () => {
    const state = filled();
    const values = state.values("layer.weight");
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length - mean ** 2;
    expect(Math.abs(mean)).toBeLessThan(4 * (0.25 / Math.sqrt(2000)));
    expect(Math.abs(Math.sqrt(variance) - 0.25)).toBeLessThan(0.02);
    expect(new Set(values).size).toBeGreaterThan(1990);
    expect(state.values("norm.weight")).toEqual(new Float32Array(50).fill(1));
    expect(state.values("layer.bias")).toEqual(new Float32Array(50));
    expect(state.values("layer.weight", "variance")).toEqual(new Float32Array(2000));
  });

  test("gives each parameter its own random stream, independent of the others", () => {
    expect(filled(1).values("layer.weight")).toEqual(filled(1).values("layer.weight"));
    expect(filled(2).values("layer.weight")).not.toEqual(filled(1).values("layer.weight"));
    const alone = filled(1, new Map([["layer.weight", [40, 50]]]));
    expect(alone.values("layer.weight")).toEqual(filled(1).values("layer.weight"));
  });
});

describe("digest", () => {
  test("depends on names, shapes and every bit of the weights", () => {
    const digest = filled().digest();
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(filled().digest()).toBe(digest);
    const negated = filled();
    negated.values("layer.bias")[49] = -0;
    const renamed = filled(
      1,
      new Map([...shapes].map(([name, shape]) => [name.replace("bias", "Bias"), shape])),
    );
    const transposed = new TrainingState(new Map([...shapes, ["layer.weight", [50, 40]]]));
    for (const [name, { data }] of filled().weights()) transposed.values(name).set(data);
    const others = [negated, renamed, transposed].map((state) => state.digest());
    expect(new Set([digest, ...others]).size).toBe(4);
  });

  test("does not depend on moments or on the order of parameters", () => {
    const state = filled();
    state.values("layer.bias", "mean").fill(1);
    state.step = 10;
    expect(state.digest()).toBe(filled().digest());
    expect(filled(1, new Map([...shapes].reverse())).digest()).toBe(filled().digest());
  });
});
