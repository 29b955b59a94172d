/** @file What pairs tell about colours: exactly known changes of synthetic pictures. */
import { describe, expect, test } from "vitest";
import { mapColours, slicesOf } from "../../src/image/bilateral-grid.ts";
import { colourSums, explainingChange } from "../../src/image/example-colours.ts";
import { gaussianBlur } from "../../src/image/filters.ts";
import { flipped, flips } from "../../src/image/flip.ts";
import { createImage, type Image } from "../../src/image/index.ts";
import { Random } from "../../src/random.ts";

const SIZE = 64;
type Colour = readonly [number, number, number];
type Change = (colour: Colour) => Colour;

/** Random colours between `low` and `high` per channel: smooth, with a fine texture. */
function picture(seed: number, low: Colour = [0, 0, 0], high: Colour = [1, 1, 1]): Image {
  const random = Random.of("colours", seed);
  const image = createImage(SIZE, SIZE);
  const waves = [0, 1, 2].map(() => [1, 2, 3].map(() => random.uniform(0.06, 0.2)));
  for (let p = 0; p < SIZE * SIZE; p++)
    for (let c = 0; c < 3; c++) {
      const [a, b, d] = waves[c]! as [number, number, number];
      const wave = Math.sin(a * (p % SIZE) + b * Math.floor(p / SIZE) + 9 * d);
      const share = 0.5 + 0.47 * wave + random.uniform(-0.03, 0.03);
      image.data[p * 3 + c] = low[c]! + (high[c]! - low[c]!) * share;
    }
  return image;
}

function changed(image: Image, change: Change): Image {
  const data = image.data.slice();
  for (let at = 0; at < data.length; at += 3) data.set(change([data[at]!, data[at + 1]!, data[at + 2]!]), at);
  return { ...image, data };
}

const sumsOf = (image: Image, change: Change) => colourSums(image, changed(image, change));

/** The largest error of the map that explains the pairs, on another picture. */
function worstError(pairs: Parameters<typeof explainingChange>[0], image: Image, change: Change): number {
  const map = explainingChange(pairs);
  if (!map) return Number.POSITIVE_INFINITY;
  const got = mapColours(slicesOf(image, map.grid), image.data, map.grid.coefficients);
  const truth = changed(image, change).data;
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - truth[i]!)), 0);
}

const invert: Change = ([r, g, b]) => [1 - r, 1 - g, 1 - b];
const sepia: Change = ([r, g, b]) => [
  0.4 * r + 0.3 * g + 0.1 * b + 0.1,
  0.3 * r + 0.4 * g + 0.1 * b + 0.05,
  0.2 * r + 0.3 * g + 0.2 * b,
];
const toBlueAndYellow: Change = (colour) => {
  const l = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2];
  return [0.1 + 0.9 * l, 0.1 + 0.8 * l, 0.6 - 0.4 * l];
};
/** A curve: no affine map. */
const gamma: Change = ([r, g, b]) => [r ** 2, g ** 2, b ** 2];

describe("explains changes of colours, and gives them for other pictures", () => {
  test.each([
    ["nothing", (colour: Colour) => colour, 0.001],
    ["invert", invert, 0.01],
    ["sepia", sepia, 0.01],
    ["two colours", toBlueAndYellow, 0.01],
    ["gamma of greys", gamma, 0.03],
  ] as const)("%s", (name, change, most) => {
    const isGrey = name === "gamma of greys";
    const grey = (image: Image) => (isGrey ? changed(image, ([r]) => [r, r, r]) : image);
    expect(worstError([sumsOf(grey(picture(1)), change)], grey(picture(2)), change)).toBeLessThan(most);
  });

  test.each([
    ["haze from above", (_x: number, y: number) => 0.6 * (1 - y), 0.9],
    ["a vignette", (x: number, y: number) => Math.max(0, Math.hypot(x - 0.5, y - 0.5) - 0.2), 0],
  ] as const)("%s: a map that depends on the place", (_, cover, veil) => {
    const covered = (image: Image): Image => ({
      ...image,
      data: image.data.map((value, i) => {
        const p = Math.floor(i / 3);
        const share = cover(((p % SIZE) + 0.5) / SIZE, (Math.floor(p / SIZE) + 0.5) / SIZE);
        return share * veil + (1 - share) * value;
      }),
    });
    const [shown, query] = [picture(9), picture(10)];
    const map = explainingChange([colourSums(shown, covered(shown))])!;
    const got = mapColours(slicesOf(query, map.grid), query.data, map.grid.coefficients);
    const truth = covered(query).data;
    const squares = got.reduce((sum, value, i) => sum + (value - truth[i]!) ** 2, 0);
    expect(Math.sqrt(squares / got.length)).toBeLessThan(0.02);
  });

  test.each(flips)("a flipped negative: across $across, down $down", (flip) => {
    const shown = picture(11);
    const change = explainingChange([colourSums(shown, changed(flipped(shown, flip), invert))])!;
    expect(change.flip).toEqual(flip);
    const query = picture(12);
    const got = mapColours(slicesOf(query, change.grid), query.data, change.grid.coefficients);
    const truth = changed(query, invert).data;
    expect(got.reduce((most, value, i) => Math.max(most, Math.abs(value - truth[i]!)), 0)).toBeLessThan(0.01);
  });

  test("two pairs tell together what neither tells alone", () => {
    const swap: Change = ([r, g, b]) => [b, g, r];
    const reds = sumsOf(picture(3, [0, 0.5, 0.5], [1, 0.5, 0.5]), swap);
    const blues = sumsOf(picture(4, [0.5, 0.5, 0], [0.5, 0.5, 1]), swap);
    const query = picture(5);
    expect(worstError([reds], query, swap)).toBeGreaterThan(0.2);
    expect(worstError([blues], query, swap)).toBeGreaterThan(0.2);
    expect(worstError([reds, blues], query, swap)).toBeLessThan(0.05);
  });
});

describe("does not explain other changes", () => {
  const before = picture(6);
  const dot = changed(before, (colour) => colour);
  for (const [x, y] of [
    [9, 9],
    [10, 9],
    [9, 10],
    [10, 10],
  ] as const)
    dot.data.set([0.9, 0.1, 0.1], (y * SIZE + x) * 3);
  const turned = { ...before, data: before.data.slice() };
  for (let p = 0; p < SIZE * SIZE; p++) {
    const from = ((p % SIZE) * SIZE + Math.floor(p / SIZE)) * 3;
    turned.data.set(before.data.subarray(from, from + 3), p * 3);
  }
  const random = Random.of("noise", 1);
  const noisy = { ...before, data: before.data.map((value) => value + 0.15 * random.normal()) };

  test.each([
    ["a dot of 2 × 2 pixels", before, dot],
    ["rows that become columns", before, turned],
    ["less noise", noisy, before],
    ["blurred noise", noisy, gaussianBlur(noisy, 1)],
  ])("%s", (_, input, output) => {
    expect(explainingChange([colourSums(input, output)])).toBeUndefined();
  });

  test("two pairs that contradict each other, each explained alone", () => {
    const pairs = [sumsOf(picture(7), (c) => c), sumsOf(picture(8), invert)];
    for (const pair of pairs) expect(explainingChange([pair])).toBeDefined();
    expect(explainingChange(pairs)).toBeUndefined();
  });

  test("a recoloured part of a picture with few colours", () => {
    const drawing = changed(before, () => [1, 1, 1]);
    for (let p = 0; p < SIZE * SIZE; p++) if (p % SIZE > 20) drawing.data.set([0.8, 0.1, 0.1], p * 3);
    const recoloured = changed(drawing, (colour) => (colour[1] < 0.5 ? [0.1, 0.1, 0.8] : colour));
    expect(explainingChange([colourSums(drawing, recoloured)])).toBeUndefined();
  });

  test("two pairs, one of them mirrored", () => {
    const pairs = flips.slice(0, 2).map((flip) => colourSums(before, flipped(before, flip)));
    for (const pair of pairs) expect(explainingChange([pair])).toBeDefined();
    expect(explainingChange(pairs)).toBeUndefined();
  });

  test("no pairs", () => expect(explainingChange([])).toBeUndefined());
});
