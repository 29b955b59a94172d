/**
 * @file The loss curves of a run as one SVG: one panel for the training loss, and one panel per world or kind of
 * held-out samples. Colours follow the viewer's light or dark theme.
 */
import type { MetricsLine } from "./metrics.ts";

/** Prefix of held-out metrics in a line of metrics: `heldOut.seen.right`. */
export const HELD_OUT = "heldOut.";

interface Series {
  readonly name: string;
  /** `[step, value]`, finite, ordered by step. */
  readonly points: readonly (readonly [number, number])[];
}

interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
}

/** Sizes in pixels. */
const WIDTH = 400;
const HEIGHT = 240;
const COLUMNS = 2;
const HEADING = 44;
/** Distances between a panel's border and its plot. */
const INSET = { left: 60, right: 16, top: 50, bottom: 34 };
const PLOT = { width: WIDTH - INSET.left - INSET.right, height: HEIGHT - INSET.top - INSET.bottom };

/** The most points of a curve: some for each pixel of its width. */
const MOST_POINTS = 2000;

/** Okabe and Ito's palette, safe for colour-blind readers, on white and on black. */
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#a0527d", "#8a6d00", "#5b5b5b"];
const DARK = ["#56b4e9", "#ff8f4a", "#2fc79a", "#e39ac4", "#f0e442", "#bdbdbd"];

/**
 * @param lines of `metrics.jsonl`
 * @param title heading of the SVG, e.g. the kind of recipe
 * @returns an SVG document, without panels if there are no measurements yet
 */
export function curvesSvg(lines: readonly MetricsLine[], title: string): string {
  const panels = panelsOf(lines);
  const height = HEADING + HEIGHT * Math.ceil(panels.length / COLUMNS);
  const lastStep = lines.reduce((last, { step }) => Math.max(last, step), 1);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * COLUMNS} ${height}" width="${WIDTH * COLUMNS}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${style()}</style>`,
    `<rect class="paper" width="100%" height="100%"/>`,
    `<text class="heading" x="16" y="28">${escapeXml(title)}</text>`,
    ...panels.flatMap((panel, i) => {
      const [left, top] = [WIDTH * (i % COLUMNS), HEADING + HEIGHT * Math.floor(i / COLUMNS)];
      return [`<g transform="translate(${left} ${top})">`, ...drawPanel(panel, lastStep), "</g>"];
    }),
    "</svg>\n",
  ].join("\n");
}

function panelsOf(lines: readonly MetricsLine[]): Panel[] {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line)))];
  const seriesOf = (key: string, name: string): Series => ({
    name,
    points: lines.filter((line) => Number.isFinite(line[key])).map((line) => [line.step, line[key]!]),
  });
  // Every batch has one kind. If kinds have their own metrics, plot those: the common loss jumps between kinds.
  const kinds = names.filter((name) => /^(\w+N|n)ll$/.test(name));
  const training = (kinds.length > 0 ? kinds : ["loss"]).map((name) => seriesOf(name, name));
  const heldOut = new Map<string, Series[]>();
  for (const key of names.filter((name) => name.startsWith(HELD_OUT))) {
    const [group, ...rest] = key.slice(HELD_OUT.length).split(".") as [string, ...string[]];
    const series = seriesOf(key, rest.join(".") || group);
    heldOut.set(group, [...(heldOut.get(group) ?? []), series]);
  }
  const panels = [
    { title: "training loss", series: training },
    ...[...heldOut].map(([group, series]) => ({ title: `held out: ${group}`, series })),
  ];
  return panels
    .map((panel) => ({ ...panel, series: panel.series.filter(({ points }) => points.length > 0) }))
    .filter(({ series }) => series.length > 0);
}

function drawPanel({ title, series }: Panel, lastStep: number): string[] {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.06 || 1;
  const [bottom, top] = [low - margin, high + margin];
  const x = (step: number) => round(INSET.left + (step / lastStep) * PLOT.width);
  const y = (value: number) => round(INSET.top + ((top - value) / (top - bottom)) * PLOT.height);
  const [right, floor] = [INSET.left + PLOT.width, INSET.top + PLOT.height];
  return [
    `<text class="title" x="${INSET.left}" y="16">${escapeXml(title)}</text>`,
    ...legend(series),
    ...ticks(bottom, top, 5).flatMap((value) => [
      `<line class="grid" x1="${INSET.left}" x2="${right}" y1="${y(value)}" y2="${y(value)}"/>`,
      `<text class="tick" x="${INSET.left - 6}" y="${y(value) + 4}" text-anchor="end">${label(value)}</text>`,
    ]),
    ...ticks(0, lastStep, 5).flatMap((step) => [
      `<line class="axis" x1="${x(step)}" x2="${x(step)}" y1="${floor}" y2="${floor + 4}"/>`,
      `<text class="tick" x="${x(step)}" y="${floor + 16}" text-anchor="middle">${label(step)}</text>`,
    ]),
    `<line class="axis" x1="${INSET.left}" x2="${right}" y1="${floor}" y2="${floor}"/>`,
    `<text class="tick" x="${right}" y="${floor + 29}" text-anchor="end">steps</text>`,
    ...series.map(({ points }, i) => {
      const colour = i % LIGHT.length;
      const path = thinned(points).map(([step, value]) => `${x(step)},${y(value)}`);
      if (path.length > 1) return `<polyline class="s${colour}" points="${path.join(" ")}"/>`;
      const [cx, cy] = path[0]!.split(",");
      return `<circle class="d${colour}" cx="${cx}" cy="${cy}" r="3"/>`;
    }),
  ];
}

/** The points of a long series that a curve shows: the lowest and the highest of each stretch, in order. */
function thinned(points: Series["points"]): Series["points"] {
  if (points.length <= MOST_POINTS) return points;
  const length = Math.ceil(points.length / (MOST_POINTS / 2));
  return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => {
    const stretch = points.slice(i * length, (i + 1) * length);
    const lowest = stretch.reduce((low, point) => (point[1] < low[1] ? point : low));
    const highest = stretch.reduce((high, point) => (point[1] > high[1] ? point : high));
    return lowest === highest ? [lowest] : [lowest, highest].sort((a, b) => a[0] - b[0]);
  }).flat();
}

/** The legend, in one row. */
function legend(series: readonly Series[]): string[] {
  let left = INSET.left;
  return series.flatMap(({ name }, i) => {
    const start = left;
    left += 30 + 7 * name.length;
    return [
      `<line class="s${i % LIGHT.length}" x1="${start}" x2="${start + 14}" y1="31" y2="31"/>`,
      `<text class="name" x="${start + 18}" y="35">${escapeXml(name)}</text>`,
    ];
  });
}

/** About `count` round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999)! * power;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** A tick's label without floating-point noise: 0.30000000000000004 → 0.3. */
const label = (value: number): string => String(Number(value.toPrecision(6)));

const round = (value: number): number => Math.round(value * 100) / 100;

const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (found) => `&#${found.charCodeAt(0)};`);

function style(): string {
  const colours = (palette: readonly string[]) =>
    palette.map((colour, i) => `.s${i}{stroke:${colour}}.d${i}{fill:${colour}}`).join("");
  return [
    "text{font:12px system-ui,sans-serif;fill:#222}.heading{font-size:16px;font-weight:600}.title{font-weight:600}",
    ".tick{font-size:11px;fill:#666}.paper{fill:#fff}.grid{stroke:#ddd}.axis{stroke:#888}",
    `polyline{fill:none;stroke-width:1.6}line[class^=s]{stroke-width:2.4}${colours(LIGHT)}`,
    "@media(prefers-color-scheme:dark){text{fill:#e8e8e8}.tick{fill:#aaa}.paper{fill:#16181c}.grid{stroke:#33363c}",
    `.axis{stroke:#777}${colours(DARK)}}`,
  ].join("");
}
