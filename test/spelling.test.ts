import { expect, test } from "vitest";
import { editDistance, meant } from "../src/spelling.ts";

test("letters inserted, deleted and replaced", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("stpes", "steps")).toBe(1);
  expect(editDistance("", "rain")).toBe(4);
  expect(editDistance("rain", "rain")).toBe(0);
});

test("the nearest word, whatever its case, if any is near", () => {
  expect(meant("DERAIN", ["rain", "derain", "drain"])).toBe(' (did you mean "derain"?)');
  expect(meant("foo", ["rain", "fog"])).toBe(' (did you mean "fog"?)');
  expect(meant("frob", ["prompt", "seed", "k"])).toBe("");
  expect(meant("word", [])).toBe("");
});
