/** @file Random colour mappings. Words cannot describe them; only the example shows them. */
import { luma, mapPixels, type PixelMap } from "../../image/filters.ts";
import { clamp } from "../../numbers.ts";
import type { Random } from "../../random.ts";
import { drawDistinctColors, hsv } from "../palette.ts";
import { type Change, family, ofAnyPicture, type TaskFamily, type Words } from "../task.ts";
import { fromPicture } from "./source.ts";

/** Words that do not name the change. */
export const exampleWords: Words = {
  instructions: [
    "do the same",
    "apply the change",
    "change it like the example",
    "do what the example shows",
  ],
  differences: ["the output image is changed as in the example"],
};

const colorWords: Words = {
  instructions: [...exampleWords.instructions, "change the colors like the example"],
  differences: ["all colors of the output image are mapped to others"],
};

const byPixel = (map: PixelMap, parameters: Change["parameters"]): Change => ({
  parameters,
  words: colorWords,
  images: fromPicture(({ image }) => mapPixels(image, map)),
});

const rounded = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(" ");

/** Each channel is a weighted sum of the three, scaled and shifted so that every colour stays in gamut. */
function drawAffine(random: Random): Change {
  const rows = Array.from({ length: 3 }, () => {
    const raw = [random.normal(), random.normal(), random.normal()] as const;
    const total = raw.reduce((sum, weight) => sum + Math.abs(weight), 0);
    const reach = random.uniform(0.75, 1);
    const weights = raw.map((weight) => (weight / total) * reach) as [number, number, number];
    const lowest = weights.reduce((sum, weight) => sum + Math.min(weight, 0), 0);
    return { weights, offset: -lowest + random.uniform(0, 1 - reach) };
  });
  const map: PixelMap = (r, g, b, out, at) => {
    for (let c = 0; c < 3; c++) {
      const { weights, offset } = rows[c]!;
      out[at + c] = weights[0] * r + weights[1] * g + weights[2] * b + offset;
    }
  };
  return byPixel(map, { matrix: rounded(rows.flatMap(({ weights, offset }) => [...weights, offset])) });
}

type Curve = (position: number) => number;

/** A smooth curve through `values` at equal steps over [0, 1]. */
function curve(values: readonly number[]): Curve {
  const last = values.length - 1;
  return (position) => {
    const at = clamp(position) * last;
    const i = Math.min(Math.floor(at), last - 1);
    const part = (1 - Math.cos(Math.PI * (at - i))) / 2;
    return values[i]! + (values[i + 1]! - values[i]!) * part;
  };
}

/** A smooth curve per channel; it may rise and fall. */
function drawCurves(random: Random): Change {
  const points = Array.from({ length: 3 }, () => {
    const count = random.integer(3, 4);
    const start = random.chance(0.5) ? random.uniform(0, 0.3) : random.uniform(0.7, 1);
    // Alternating ends keep every curve from being flat.
    return Array.from({ length: count }, (_, i) =>
      i === 0 ? start : i % 2 === (start < 0.5 ? 1 : 0) ? random.uniform(0.6, 1) : random.uniform(0, 0.4),
    );
  });
  const [red, green, blue] = points.map(curve) as [Curve, Curve, Curve];
  const map: PixelMap = (r, g, b, out, at) => {
    out[at] = red(r);
    out[at + 1] = green(g);
    out[at + 2] = blue(b);
  };
  return byPixel(map, { curves: points.map(rounded).join(", ") });
}

/** Posterization to the eight corners of the colour cube, which are permuted. */
function drawCorners(random: Random): Change {
  let order: number[];
  do order = random.shuffle([0, 1, 2, 3, 4, 5, 6, 7]);
  while (order.filter((to, from) => to === from).length > 2);
  const map: PixelMap = (r, g, b, out, at) => {
    const to = order[(r > 0.5 ? 1 : 0) + (g > 0.5 ? 2 : 0) + (b > 0.5 ? 4 : 0)]!;
    out[at] = to & 1;
    out[at + 1] = (to >> 1) & 1;
    out[at + 2] = to >> 2;
  };
  return byPixel(map, { order: order.join("") });
}

/** Bands of brightness, each with its own colour. */
function drawBands(random: Random): Change {
  const palette = drawDistinctColors(random, random.integer(3, 6));
  const map: PixelMap = (r, g, b, out, at) => {
    const band = Math.min(Math.floor(luma(r, g, b) * palette.length), palette.length - 1);
    out.set(palette[band]!, at);
  };
  return byPixel(map, { palette: palette.map(rounded).join(", ") });
}

/** Each hue is rotated by its own angle; grays stay. */
function drawHues(random: Random): Change {
  const shifts = Array.from({ length: 6 }, () => random.uniform(-0.5, 0.5));
  const shift = curve([...shifts, shifts[0]!]);
  const map: PixelMap = (r, g, b, out, at) => {
    const value = Math.max(r, g, b);
    const span = value - Math.min(r, g, b);
    const sector =
      span === 0 ? 0 : value === r ? (g - b) / span : value === g ? 2 + (b - r) / span : 4 + (r - g) / span;
    const hue = (sector / 6 + 1) % 1;
    out.set(hsv(hue + shift(hue), value === 0 ? 0 : span / value, value), at);
  };
  return byPixel(map, { shifts: rounded(shifts) });
}

export const colorMapFamilies: readonly TaskFamily[] = ofAnyPicture([
  family("colorMatrix", "tone", drawAffine),
  family("colorCurves", "tone", drawCurves),
  family("colorCorners", "tone", drawCorners),
  family("colorBands", "tone", drawBands),
  family("hueCurve", "tone", drawHues),
]);
