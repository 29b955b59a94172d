/** @file The colour fit and the classical filters against numpy, and the families that have a filter. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  autoGamma,
  classicalFilter,
  contrastStretch,
  median,
  unsharpMask,
} from "../../src/evaluation/baselines/classical.ts";
import { colourFit, fitColours } from "../../src/evaluation/baselines/colour-fit.ts";
import { createImage, fromBytes, type Image, medianFilter, toBytes } from "../../src/image/index.ts";
import { families } from "../../src/tasks/index.ts";

const path = new URL("../fixtures/evaluation/baselines.json", import.meta.url);
const reference = JSON.parse(readFileSync(path, "utf8"));
const read = (packed: string): Image =>
  fromBytes(reference.width, reference.height, Buffer.from(packed, "base64"));

function expectClose(got: ArrayLike<number>, expected: readonly number[]): void {
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(got[i]).toBeCloseTo(value, 6);
}

test.each([1, 2])("the colour fit of %i examples agrees with numpy's least squares", (count) => {
  const { pairs, query, cases } = reference.colourFit;
  const examples = pairs
    .slice(0, count)
    .map(({ input, output }: Record<string, string>) => ({ input: read(input!), output: read(output!) }));
  const { map, mapped } = cases[count - 1];
  expectClose(fitColours(examples).flat(), map.flat());
  expectClose(colourFit(examples, read(query)).data, mapped);
});

test("the colour fit of an unchanged pair is the identity, even with a single colour", () => {
  const grey = createImage(4, 4, [0.5, 0.5, 0.5]);
  const query = read(reference.colourFit.query);
  expectClose(colourFit([{ input: grey, output: grey }], query).data, [...query.data]);
});

test("the filters agree with numpy", async () => {
  const { query, dark, median: medians, unsharp, gamma, stretch } = reference.classical;
  for (const radius of [1, 2]) {
    const filtered = await medianFilter(read(query), radius);
    expect(Buffer.from(toBytes(filtered)).toString("base64")).toBe(medians[radius]);
  }
  expect(await median.apply(read(query))).toEqual(read(medians[1]));
  expectClose((await unsharpMask.apply(read(query))).data, unsharp);
  expectClose((await autoGamma.apply(read(dark))).data, gamma);
  expectClose((await contrastStretch.apply(read(dark))).data, stretch);
});

test.each([0, 1])("a constant picture of value %i stays finite", async (value) => {
  const flat = createImage(8, 8, [value, value, value]);
  for (const filter of [median, unsharpMask, autoGamma, contrastStretch])
    expect((await filter.apply(flat)).data.every((each) => Number.isFinite(each))).toBe(true);
  expect((await contrastStretch.apply(flat)).data).toEqual(flat.data);
});

test("all restoration families have a filter, and no other family has", () => {
  const restoring = families.filter(
    ({ prototype, reverseOf }) => prototype === "low-level" && reverseOf !== undefined,
  );
  const filtered = families.filter(({ name }) => classicalFilter(name));
  expect(filtered).toEqual(restoring);
  expect(classicalFilter("toString")).toBeUndefined();
});
