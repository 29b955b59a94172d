/** @file The examples of a condition. */
import { expect, test } from "vitest";
import { examplesOf } from "../../src/evaluation/conditions.ts";
import { sampleOf } from "../../src/evaluation/samples.ts";
import { families as all, familyNamed } from "../../src/tasks/index.ts";

const derain = familyNamed("derain");

/** The wrong example for a model that was trained on these families. */
function wrongExample(families: readonly string[]) {
  const training = { families: families.map(familyNamed), heldOutPrototypes: [] };
  const context = { training, seed: 1, model: { size: 16 } };
  return examplesOf(derain, sampleOf(derain, 1, 0, 16), context as never, 0)("wrong")[0]!;
}

test("a wrong example comes from another trained family", () => {
  expect(wrongExample(["rain", "derain", "invert"])).toEqual(wrongExample(["invert"]));
});

test.each([[["derain"]], [["rain", "derain"]], [[]]])(
  "the wrong example comes from any other family after training on %j alone",
  (families) => {
    const { input, output } = wrongExample(families);
    expect(output.data).not.toEqual(input.data);
    // As after training on all families but this one and its reverse.
    const others = all.map(({ name }) => name).filter((name) => !["rain", "derain"].includes(name));
    expect(wrongExample(families)).toEqual(wrongExample(others));
  },
);
