import { describe, expect, test } from "vitest";
import { heldOutTasks } from "../../src/tasks/index.ts";
import { pairOf, tasksOf } from "./kit.ts";

const tasks = tasksOf("otherLook", 400);

/** Pearson's correlation. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const middle = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [a, b].map((values) => values.map((value) => value - middle(values)));
  const dot = (p: readonly number[], q: readonly number[]) =>
    p.reduce((sum, value, i) => sum + value * q[i]!, 0);
  return dot(x!, y!) / Math.sqrt(dot(x!, x!) * dot(y!, y!));
}

describe("otherLook", () => {
  test("shows one scene in two looks: if both only stretch values, so does the map between them", () => {
    const stretched = tasks.filter(
      ({ parameters }) => parameters.undo === "exposure" && parameters.do === "invert",
    );
    expect(stretched.length).toBeGreaterThan(0);
    for (const [n, task] of stretched.entries()) {
      const { input, output } = pairOf(task, 32, n);
      for (let channel = 0; channel < 3; channel++) {
        const at = [...input.data.keys()].filter(
          (i) => i % 3 === channel && input.data[i]! > 0 && input.data[i]! < 1,
        );
        const [before, after] = [input, output].map(({ data }) => at.map((i) => data[i]!));
        expect(Math.abs(correlation(before!, after!))).toBeCloseTo(1, 4);
      }
    }
  });

  test("samples many pairs of changes, never a change and its own removal, nor held-out ones", () => {
    const drawn = new Set(tasks.map(({ parameters }) => `${parameters.undo} ${parameters.do}`));
    expect(drawn.size).toBeGreaterThan(100);
    for (const own of ["desnow snow", "exposure brightness", "denoise noise"])
      expect(drawn).not.toContain(own);
    const never: readonly string[] = Object.values(heldOutTasks).flat();
    for (const { parameters } of tasks) expect(never).not.toContain(parameters.undo);
  });
});
