/** @file The mean of the weights over the last part of a run. */
import { expect, test } from "vitest";
import { WeightAverage } from "../../../src/training/optimizer/average.ts";
import { TrainingState } from "../../../src/training/run/state.ts";

/** A state whose weights are its step number and ten times that. */
function at(state: TrainingState, step: number): void {
  state.step = step;
  state.values("w").set([step, 10 * step]);
}

test("is the current weights at first, then the mean of every second state", () => {
  const state = new TrainingState(new Map([["w", [2]]]));
  const average = new WeightAverage(state, 4, 2);
  for (const step of [1, 2, 3]) {
    at(state, step);
    average.update();
    expect([...average.weights().get("w")!.data]).toEqual([step, 10 * step]);
  }
  for (const step of [4, 5, 6, 7, 8]) {
    at(state, step);
    average.update();
  }
  const { shape, data } = average.weights().get("w")!;
  expect([shape, [...data]]).toEqual([[2], [6, 60]]); // of steps 4, 6 and 8
});

test("resumes exactly from its extras", () => {
  const [whole, cut] = [0, 1].map(() => new TrainingState(new Map([["w", [2]]]))) as [
    TrainingState,
    TrainingState,
  ];
  const reference = new WeightAverage(whole, 1, 1);
  let average = new WeightAverage(cut, 1, 1);
  for (let step = 1; step <= 6; step++) {
    at(whole, step);
    at(cut, step);
    reference.update();
    average.update();
    if (step !== 3) continue;
    const kept = Object.entries(average.extras).map(([name, data]) => [name, data.slice()] as const);
    average = new WeightAverage(cut, 1, 1);
    for (const [name, data] of kept) average.extras[name]!.set(data);
  }
  expect(average.weights().get("w")!.data).toEqual(reference.weights().get("w")!.data);
});
