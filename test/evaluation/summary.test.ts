/** @file Gap closure, and reports. */
import { expect, test } from "vitest";
import { renderHtml, sheetImage } from "../../src/evaluation/report.ts";
import { difference, gapClosure } from "../../src/evaluation/summary.ts";
import { createImage } from "../../src/image/index.ts";

test("gap closure of the paper's own figures: low light in dB, depth as an error", () => {
  const lowLight = gapClosure({ withExample: [17.22, 17.22], without: [9.14, 9.14], full: 19.71 }, true, 1)!;
  expect(lowLight.mean).toBeCloseTo(0.76, 2);
  const depth = gapClosure({ withExample: [0.352], without: [0.745], full: 0.279 }, false, 1)!;
  expect(depth.mean).toBeCloseTo(0.84, 2);
  expect(depth.ci[0]).toBeCloseTo(depth.mean, 9);
});

test("an example that makes it worse closes less than nothing", () => {
  expect(gapClosure({ withExample: [8], without: [10], full: 20 }, true, 1)!.mean).toBeCloseTo(-0.2, 9);
  expect(gapClosure({ withExample: [0.5], without: [0.4], full: 0.2 }, false, 1)!.mean).toBeCloseTo(-0.5, 9);
});

test("where there is no gap, there is no share of it", () => {
  expect(gapClosure({ withExample: [12], without: [10], full: 9 }, true, 1)).toBeUndefined();
  expect(gapClosure({ withExample: [0.1], without: [0.2], full: 0.3 }, false, 1)).toBeUndefined();
});

test("a difference is taken sample by sample", () => {
  const { mean, ci } = difference([1, 5, 9], [0, 4, 8], 1);
  for (const value of [mean, ...ci]) expect(value).toBeCloseTo(1, 12);
});

test("reports say what they were given, as text", async () => {
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
