/** @file Metrics of a run as curves: grouped for charts, thinned for the screen, smoothed. */
import type { MetricsLine } from "./backend.ts";
import { titleOf } from "./names.ts";

export interface Point {
  readonly step: number;
  readonly value: number;
}

export interface Curve {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Chart {
  readonly title: string;
  readonly curves: readonly Curve[];
}

/** The most points of a curve: more would not be seen. */
const SHOWN = 600;

const pointsOf = (lines: readonly MetricsLine[], name: string): Point[] =>
  lines.flatMap(({ step, [name]: value }) => (value === undefined ? [] : [{ step, value }]));

/** Means of neighbours, so that no more than `SHOWN` points are left. */
export function thin(points: readonly Point[]): readonly Point[] {
  const size = Math.ceil(points.length / SHOWN);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    const mean = part.reduce((sum, { value }) => sum + value, 0) / part.length;
    return { step: part.at(-1)!.step, value: mean };
  });
}

/** Whether a curve goes to and fro, so that a mean says more than its points. */
export function isNoisy(points: readonly Point[]): boolean {
  const rises = points.slice(1).map(({ value }, i) => Math.sign(value - points[i]!.value));
  const turns = rises.slice(1).filter((rise, i) => rise * rises[i]! < 0).length;
  return turns > 0.2 * points.length;
}

/** Exponential moving average, corrected for its start: v̂ₜ = Σ βᵗ⁻ⁱ vᵢ / Σ βᵗ⁻ⁱ. A short curve is smoothed less. */
export function smooth(points: readonly Point[]): Point[] {
  const beta = Math.min(0.9, Math.max(0, 1 - 12 / points.length));
  let sum = 0;
  let weight = 0;
  return points.map(({ step, value }) => {
    sum = beta * sum + value;
    weight = beta * weight + 1;
    return { step, value: sum / weight };
  });
}

/**
 * The loss; the other training metrics; the held-out figures, those of one kind together: `heldOut.psnr` and
 * `heldOut.psnr.photos` are curves of one chart, and so are `heldOut.seen.right` and `heldOut.seen.wrong`.
 */
export function chartsOf(lines: readonly MetricsLine[]): Chart[] {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line)))].filter(
    (name) => name !== "step" && name !== "time",
  );
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const group = name
      .split(".")
      .slice(0, name.startsWith("heldOut.") ? 2 : 1)
      .join(".");
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  const rank = (group: string) => (group === "loss" ? 0 : group.startsWith("heldOut.") ? 1 : 2);
  return [...groups]
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([group, members]) => ({
      title: titleOf(group),
      curves: members.map((name) => ({
        name: name === group ? (members.length > 1 ? "all" : titleOf(group)) : name.slice(group.length + 1),
        points: pointsOf(lines, name),
      })),
    }));
}

/** Numbers as people read them: three or four digits that count. */
export function figure(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return Math.abs(value) < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}
