/** @file The curves of a run: one panel per kind of measurement, values in agreement with the ticks. */
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { expect, test } from "vitest";
import { curvesSvg, ticks } from "../../../src/training/run/curves.ts";
import type { MetricsLine } from "../../../src/training/run/metrics.ts";

const line = (step: number, values: Record<string, number>): MetricsLine => ({ step, time: 0, ...values });

interface Element {
  readonly [name: string]: string | undefined;
}
interface Panel {
  readonly text: readonly (Element & { readonly "#text": string })[];
  readonly polyline: readonly Element[];
  readonly circle: readonly Element[];
}
/** The panels of an SVG, and their elements by name. */
function panelsOf(svg: string): Panel[] {
  expect(XMLValidator.validate(svg)).toBe(true);
  const many = ["g", "text", "polyline", "circle", "line"];
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: "",
    parseTagValue: false,
    isArray: (name) => many.includes(name),
  });
  return (parser.parse(svg).svg.g ?? []).map((panel: Partial<Panel>) => ({
    ...{ text: [], polyline: [], circle: [] },
    ...panel,
  }));
}
const textsOf = ({ text }: Panel, kind: string) =>
  text.filter((each) => each.class === kind).map((each) => each["#text"]);
const pointsOf = ({ points = "" }: Element) => points.split(" ").map((point) => point.split(",").map(Number));

test("a panel for the training loss and one for each world, a curve for each series", () => {
  const measured = (right: number) => ({ "heldOut.seen.right": right, "heldOut.seen.none": right + 1 });
  const svg = curvesSvg(
    [line(0, measured(4)), line(10, { loss: 3 }), line(20, { loss: 2, ...measured(3), "heldOut.psnr": 20 })],
    "training",
  );
  const panels = panelsOf(svg);
  expect(panels.map((panel) => textsOf(panel, "title"))).toEqual([
    ["training loss"],
    ["held out: seen"],
    ["held out: psnr"],
  ]);
  expect(panels.map((panel) => textsOf(panel, "name"))).toEqual([["loss"], ["right", "none"], ["psnr"]]);
  expect(panels.map(({ polyline, circle }) => [polyline.length, circle.length])).toEqual([
    [1, 0],
    [2, 0],
    [0, 1],
  ]);
});

test("values are placed in proportion between the neighbouring ticks", () => {
  const [panel] = panelsOf(
    curvesSvg([line(0, { loss: 1.5 }), line(50, { loss: 4 }), line(200, { loss: 2.25 })], ""),
  );
  const labels = panel!.text.filter((each) => each.class === "tick" && each["text-anchor"] === "end");
  const heights = new Map(labels.map((each) => [Number(each["#text"]), Number(each.y) - 4]));
  const perUnit = heights.get(3)! - heights.get(2)!;
  const steps = panel!.text.filter((each) => each["text-anchor"] === "middle");
  const xOf = new Map(steps.map((each) => [each["#text"], Number(each.x)]));
  const points = pointsOf(panel!.polyline[0]!);
  expect(points.map(([, y]) => 2 + (y! - heights.get(2)!) / perUnit)).toEqual([
    expect.closeTo(1.5, 2),
    expect.closeTo(4, 2),
    expect.closeTo(2.25, 2),
  ]);
  expect(points.map(([x]) => x)).toEqual(["0", "50", "200"].map((step) => xOf.get(step)));
});

test("each kind of batch with its own metric has a curve, and the common loss has none", () => {
  const [panel] = panelsOf(
    curvesSvg(
      [line(1, { loss: 3, nll: 3 }), line(2, { loss: 5, captionNll: 5 }), line(3, { loss: 2, nll: 2 })],
      "",
    ),
  );
  expect(textsOf(panel!, "name")).toEqual(["nll", "captionNll"]);
});

test("values that are not finite leave a gap; nothing measured leaves no panel", () => {
  const [panel] = panelsOf(
    curvesSvg([line(1, { loss: 3 }), line(2, { loss: Number.NaN }), line(3, { loss: 2 })], ""),
  );
  expect(pointsOf(panel!.polyline[0]!)).toHaveLength(2);
  expect(panelsOf(curvesSvg([], "training"))).toEqual([]);
});

test("a long run is shown with its extremes, in order, by few points", () => {
  const lines = Array.from({ length: 200_000 }, (_, step) => line(step, { loss: step === 77_777 ? 9 : 1 }));
  const [panel] = panelsOf(curvesSvg(lines, ""));
  const points = pointsOf(panel!.polyline[0]!);
  expect(points.length).toBeLessThanOrEqual(2000);
  expect(points.map(([x]) => x)).toEqual(points.map(([x]) => x).sort((a, b) => a! - b!));
  const [few] = panelsOf(curvesSvg([line(0, { loss: 1 }), lines[77_777]!, lines.at(-1)!], ""));
  const peak = pointsOf(few!.polyline[0]!)[1];
  expect(points).toContainEqual(peak);
});

test("names are escaped for XML", () => {
  const svg = curvesSvg([line(0, { 'heldOut.a&<b.c"': 1 })], "a < b & c");
  expect(panelsOf(svg)).toHaveLength(1);
  expect(svg).not.toContain("a&<b");
});

test.each([
  [0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
  [1.9, 8.7, 5, [2, 4, 6, 8]],
  [-0.1, 0.1, 4, [-0.1, -0.05, 0, 0.05, 0.1]],
  [0, 7000, 5, [0, 2000, 4000, 6000]],
])("ticks from %d to %d are round numbers", (low, high, count, expected) => {
  expect(ticks(low, high, count)).toEqual(expected.map((value) => expect.closeTo(value, 12)));
});
