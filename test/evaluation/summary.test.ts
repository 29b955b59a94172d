/** @file Gap closure, and reports. */
import { expect, test } from "vitest";
import { bootstrap, intervalOf, mean, resampled } from "../../src/evaluation/metrics/bootstrap.ts";
import { renderHtml, sheetImage } from "../../src/evaluation/report.ts";
import { difference, gapClosure, shareBetter, syntheticValues } from "../../src/evaluation/summary.ts";
import { createImage } from "../../src/image/index.ts";

const known = (...values: number[]) => ({ values, sameSamples: false });

test("gap closure of the paper's figures: low light in dB, depth as an error", () => {
  const lowLight = gapClosure(
    { withExample: [17.22, 17.22], without: [9.14, 9.14], full: known(19.71) },
    true,
    1,
  )!;
  expect(lowLight.mean).toBeCloseTo(0.76, 2);
  const depth = gapClosure({ withExample: [0.352], without: [0.745], full: known(0.279) }, false, 1)!;
  expect(depth.mean).toBeCloseTo(0.84, 2);
  expect(depth.ci[0]).toBeCloseTo(depth.mean, 9);
});

test("an example that makes the result worse has a negative gap closure", () => {
  expect(gapClosure({ withExample: [8], without: [10], full: known(20) }, true, 1)!.mean).toBeCloseTo(
    -0.2,
    9,
  );
  expect(gapClosure({ withExample: [0.5], without: [0.4], full: known(0.2) }, false, 1)!.mean).toBeCloseTo(
    -0.5,
    9,
  );
});

test("without a gap there is no gap closure", () => {
  expect(gapClosure({ withExample: [12], without: [10], full: known(9) }, true, 1)).toBeUndefined();
  expect(gapClosure({ withExample: [0.1], without: [0.2], full: known(0.3) }, false, 1)).toBeUndefined();
});

const spread = Array.from({ length: 32 }, (_, i) => Math.sin(3 * i));
const around = (centre: number) => spread.map((value) => centre + value);

test("the interval includes the uncertainty of the trained model, and an insignificant gap is none", () => {
  const own = { withExample: around(14), without: around(10) };
  const width = (full: Parameters<typeof gapClosure>[0]["full"]) => {
    const [low, high] = gapClosure({ ...own, full }, true, 1)!.ci;
    return high - low;
  };
  const values = around(15);
  const fixed = width({ values: [mean(values)], sameSamples: false });
  expect(width({ values, sameSamples: false })).toBeGreaterThan(1.02 * fixed);
  // Correlated columns cancel when they are resampled together.
  expect(width({ values, sameSamples: true })).toBeCloseTo(0, 9);
  expect(gapClosure({ ...own, full: { values: around(10.1), sameSamples: false } }, true, 1)).toBeUndefined();
});

test("resamples without a gap count as unbounded shares", () => {
  // With a benefit of 1 in every resample, the share is the inverse of the gap, which is negative in some of them.
  const [without, withExample, values] = [around(10), around(11), around(10.35)];
  const { ci } = gapClosure({ withExample, without, full: { values, sameSamples: false } }, true, 1)!;
  const gapOf = ([none, full]: readonly number[]) => full! - none!;
  const gaps = resampled([[without], [values]], (columns) => gapOf(columns.flat().map(mean)), 1);
  expect(Math.min(...gaps)).toBeLessThan(0);
  const [least, most] = intervalOf(gaps);
  expect(1 / ci[0]).toBeCloseTo(most, 2);
  expect(1 / ci[1]).toBeCloseTo(least, 2);
});

test("where neither training nor an example helps in a resample, the example closes nothing", () => {
  const hits = (count: number) => Array.from({ length: 10 }, (_, i) => Number(i < count));
  const full = { values: hits(5), sameSamples: true };
  const { mean, ci } = gapClosure({ withExample: hits(1), without: hits(0), full }, true, 1)!;
  expect(mean).toBeCloseTo(0.2, 12);
  expect(ci[0]).toBe(0);
  expect(ci[1]).toBeGreaterThan(0.2);
  expect(ci[1]).toBeLessThanOrEqual(1);
});

test("an interval may be unbounded, but not undefined", () => {
  const values = [...Array(25).fill(-Infinity), ...Array(975).fill(1)];
  expect(intervalOf(values)).toEqual([-Infinity, 1]);
  expect(() => intervalOf([0, Number.NaN])).toThrow("interval: expected numbers, got NaN");
});

test.each([31, 32])("%i synthetic values have the estimate's mean and about its interval", (count) => {
  const values = syntheticValues({ mean: 3, ci: [2.5, 3.5] }, count);
  expect(values).toHaveLength(count);
  expect(mean(values)).toBeCloseTo(3, 12);
  const [low, high] = bootstrap([values], ([column]) => mean(column!), 1);
  expect(Math.abs(low - 2.5)).toBeLessThan(0.1);
  expect(Math.abs(high - 3.5)).toBeLessThan(0.1);
});

test("the share of pictures with the smaller error does not count equal errors", () => {
  expect(shareBetter([1, 2, 3, 4], [2, 2, 2, 5])!.mean).toBe(0.5);
  expect(shareBetter([], [])).toBeUndefined();
});

test("differences are paired by sample", () => {
  const { mean, ci } = difference([1, 5, 9], [0, 4, 8], 1);
  for (const value of [mean, ...ci]) expect(value).toBeCloseTo(1, 12);
});

test("reports escape their texts", async () => {
  const cells = [{ image: createImage(8, 8, [1, 0, 0]), caption: "a <b>" }];
  const section = {
    title: 'one & "two"',
    table: {
      columns: ["task", "dB"],
      rows: [
        ["x<y", 12.34567],
        ["z", null],
      ] as const,
    },
    sheet: { columnTitles: ["drawn"], rows: [{ label: "label", cells }] },
  };
  const html = await renderHtml("title", "intro", [section]);
  for (const text of ["one &amp; &quot;two&quot;", "x&lt;y", "12.346", "–", "a &lt;b&gt;", "<th>drawn</th>"])
    expect(html).toContain(text);
  expect(html).toContain("prefers-color-scheme: dark");
  expect(sheetImage(section)!.width).toBeGreaterThan(16);
});
