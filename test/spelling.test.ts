import { expect, test } from "vitest";
import { closest, editDistance } from "../src/spelling.ts";

test("letters inserted, deleted and replaced", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("", "rain")).toBe(4);
  expect(editDistance("rain", "rain")).toBe(0);
});

test("the closest word, whatever its case", () => {
  expect(closest("DERAIN", ["rain", "derain", "drain"])).toBe("derain");
  expect(closest("foo", ["rain", "fog"])).toBe("fog");
});
