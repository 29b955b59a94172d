import { afterEach, describe, expect, test } from "vitest";
import {
  Graph,
  matmul,
  mean,
  multiply,
  parameterShapes,
  subtract,
  type Tensor,
} from "../../../src/graph/index.ts";
import { Random } from "../../../src/random.ts";
import { float32, floats } from "../../../src/runtime/session.ts";
import { optimizerSchema } from "../../../src/training/optimizer/optimizer.ts";
import { TrainingState } from "../../../src/training/run/state.ts";
import { type Objective, TrainingStep } from "../../../src/training/run/step.ts";

const settings = optimizerSchema.parse({ beta2: 0.99, clipNorm: 1e9 });

/** Mean of (x · weight · gain − y)², with the predictions as report. */
const regression =
  (rows: number, gained = true) =>
  (graph: Graph): Objective => {
    const w = graph.scope();
    const x = graph.input("x", "float32", [rows, 3]);
    const plain = matmul(x, w.parameter("weight", [3, 1]));
    const made: Tensor = gained ? multiply(plain, w.parameter("gain", [1])) : plain;
    const error = subtract(made, graph.input("y", "float32", [rows, 1]));
    return { loss: mean(multiply(error, error), undefined, { keep: false }), report: { made } };
  };

/** Rows that follow y = x₀ − 2 x₁ + 3 x₂. */
function batch(rows: number, step = 0) {
  const random = Random.of(1, "rows", step);
  const x = Float32Array.from({ length: rows * 3 }, () => random.normal());
  const y = Float32Array.from({ length: rows }, (_, i) => x[3 * i]! - 2 * x[3 * i + 1]! + 3 * x[3 * i + 2]!);
  return { x: float32(x, [rows, 3]), y: float32(y, [rows, 1]) };
}

function newState(): TrainingState {
  const graph = new Graph();
  regression(2)(graph);
  const state = new TrainingState(parameterShapes(graph));
  state.values("weight").set([0.5, 0.25, -0.5]);
  state.values("gain").set([1.5]);
  return state;
}

const open: TrainingStep[] = [];
async function compile(...args: Parameters<typeof TrainingStep.plan>): Promise<TrainingStep> {
  const step = await TrainingStep.plan(...args).compile({ threads: 1 });
  open.push(step);
  return step;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((step) => step.release()));
});

describe("TrainingStep", () => {
  test("returns loss, gradient norm and report for the weights before the step", async () => {
    const step = await compile(regression(2), settings);
    const state = newState();
    const { loss, gradientNorm, report } = await step.run(state, batch(2), 0.01);
    const { x, y } = batch(2);
    const rows = [0, 1].map((i) => floats(x).subarray(3 * i, 3 * i + 3));
    const plain = rows.map((row) => 0.5 * row[0]! + 0.25 * row[1]! - 0.5 * row[2]!);
    const errors = plain.map((value, i) => 1.5 * value - floats(y)[i]!);
    expect(Object.keys(report)).toEqual(["made"]);
    for (const [i, value] of plain.entries()) expect(floats(report.made!)[i]).toBeCloseTo(1.5 * value, 5);
    expect(loss).toBeCloseTo((errors[0]! ** 2 + errors[1]! ** 2) / 2, 4);
    // d loss / d weight = Σ error · gain · x, d loss / d gain = Σ error · x · weight.
    const slopes = [0, 1, 2].map((k) => errors.reduce((sum, e, i) => sum + e * 1.5 * rows[i]![k]!, 0));
    slopes.push(errors.reduce((sum, e, i) => sum + e * plain[i]!, 0));
    expect(gradientNorm).toBeCloseTo(Math.hypot(...slopes), 3);
    // The first step of Adam is the learning rate, against the slope.
    const moved = [...state.values("weight"), ...state.values("gain")];
    const before = [0.5, 0.25, -0.5, 1.5];
    for (const [i, value] of moved.entries())
      expect(value).toBeCloseTo(before[i]! - 0.01 * Math.sign(slopes[i]!), 5);
    expect(state.step).toBe(1);
    const means = [...state.values("weight", "mean"), ...state.values("gain", "mean")];
    for (const [i, value] of means.entries()) expect(value).toBeCloseTo(0.1 * slopes[i]!, 4);
  });

  test("takes the same step with and without an arena of its own", async () => {
    const [own, shared] = [newState(), newState()];
    for (const [state, arena] of [
      [own, true],
      [shared, false],
    ] as const) {
      const step = await TrainingStep.plan(regression(4), settings).compile({ threads: 1, arena });
      open.push(step);
      for (let i = 0; i < 3; i++) await step.run(state, batch(4, i), 0.01);
    }
    expect(shared.digest()).toBe(own.digest());
  });

  test("reduces the loss", async () => {
    const step = await compile(regression(16), settings);
    const state = newState();
    const losses: number[] = [];
    for (let i = 0; i < 300; i++) losses.push((await step.run(state, batch(16, i), 0.05)).loss);
    expect(losses[0]).toBeGreaterThan(5);
    expect(losses.at(-1)).toBeLessThan(1e-3);
    const [gain] = state.values("gain");
    for (const [i, wanted] of [1, -2, 3].entries())
      expect(state.values("weight")[i]! * gain!).toBeCloseTo(wanted, 1);
  });

  test("steps of several batch shapes share one state without affecting each other", async () => {
    const [small, large] = [await compile(regression(2), settings), await compile(regression(8), settings)];
    const state = newState();
    for (let i = 0; i < 6; i++)
      await (i % 2 === 0 ? small : large).run(state, batch(i % 2 === 0 ? 2 : 8, i), 0.01);
    expect(state.step).toBe(6);
    const again = newState();
    for (let i = 0; i < 6; i++) {
      const fresh = await compile(regression(i % 2 === 0 ? 2 : 8), settings);
      await fresh.run(again, batch(i % 2 === 0 ? 2 : 8, i), 0.01);
    }
    expect(again.digest()).toBe(state.digest());
    expect(again.values("weight", "variance")).toEqual(state.values("weight", "variance"));
  });

  test("does not change frozen or unused parameters", async () => {
    const frozen = await compile(regression(4), settings, (name) => name !== "gain");
    const state = newState();
    await frozen.run(state, batch(4), 0.01);
    expect([...state.values("gain")]).toEqual([1.5]);
    expect([...state.values("gain", "mean")]).toEqual([0]);
    expect([...state.values("weight")]).not.toEqual([0.5, 0.25, -0.5]);
    const without = await compile(regression(4, false), settings);
    await without.run(state, batch(4), 0.01);
    expect([...state.values("gain")]).toEqual([1.5]);
    expect(state.step).toBe(2);
  });

  test("clips: reports the norm before clipping, the moments use the clipped gradient", async () => {
    const step = await compile(regression(4), { ...settings, clipNorm: 0.5 });
    const [clipped, free] = [newState(), newState()];
    const { gradientNorm } = await step.run(clipped, batch(4), 0.01);
    const other = await compile(regression(4), settings);
    expect((await other.run(free, batch(4), 0.01)).gradientNorm).toBe(gradientNorm);
    expect(gradientNorm).toBeGreaterThan(1);
    const share = 0.5 / gradientNorm;
    for (const [i, value] of clipped.values("weight", "mean").entries())
      expect(value).toBeCloseTo(share * free.values("weight", "mean")[i]!, 5);
  });
});
