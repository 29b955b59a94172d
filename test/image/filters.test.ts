import { describe, expect, test } from "vitest";
import { compressBlocks } from "../../src/image/block-compression.ts";
import { enlarge, gaussianBlur, shrink, smoothPatches } from "../../src/image/filters.ts";
import { createImage, type Image } from "../../src/image/image.ts";
import { paintStroke } from "../../src/image/paint.ts";
import { Random } from "../../src/random.ts";

const random = Random.of("filters");
const noise: Image = {
  width: 24,
  height: 24,
  data: Float32Array.from({ length: 24 * 24 * 3 }, () => random.uniform()),
};
const squaredError = (a: Image, b: Image) =>
  a.data.reduce((sum, value, i) => sum + (value - b.data[i]!) ** 2, 0);
const flat = createImage(24, 24, [0.2, 0.5, 0.7]);

test.each([
  ["gaussianBlur", (image: Image) => gaussianBlur(image, 2)],
  ["smoothPatches", (image: Image) => smoothPatches(image, 2)],
  ["shrink and enlarge", (image: Image) => enlarge(shrink(image, 6), 24, "smooth")],
  ["compressBlocks", (image: Image) => compressBlocks(image, 100)],
])("%s leaves a flat picture as it is", (_name, filter) => {
  expect(Math.sqrt(squaredError(filter(flat), flat) / flat.data.length)).toBeLessThan(0.003);
});

test("gaussianBlur spreads a point like a Gaussian", () => {
  const point = createImage(33, 33);
  point.data[(16 * 33 + 16) * 3] = 1;
  const { data } = gaussianBlur(point, 2);
  const at = (x: number, y: number) => data[(y * 33 + x) * 3]!;
  expect(at(18, 16) / at(16, 16)).toBeCloseTo(Math.exp(-0.5), 4);
  expect(at(18, 19) / at(16, 16)).toBeCloseTo(Math.exp(-13 / 8), 4);
  expect(data.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 4);
});

describe("compressBlocks", () => {
  test("loses little at quality 100 and more at lower ones", () => {
    const errors = [100, 50, 10, 2].map((quality) => squaredError(compressBlocks(noise, quality), noise));
    expect(errors[0]! / noise.data.length).toBeLessThan(1e-4);
    expect(errors).toEqual(errors.toSorted((a, b) => a - b));
  });

  test("at the lowest quality leaves each 8 × 8 block almost one colour", () => {
    const { data } = compressBlocks(noise, 1);
    for (let x = 0; x < 7; x++)
      expect(Math.abs(data[x * 3 + 1]! - data[(x + 1) * 3 + 1]!)).toBeLessThan(0.02);
  });
});

test("shrink makes at most as many pixels as there are", () => {
  const small = shrink(flat, 40);
  expect([small.width, small.height]).toEqual([24, 24]);
  expect(small.data.every(Number.isFinite)).toBe(true);
  expect(shrink(flat, 6).width).toBe(6);
});

test("paintStroke covers exactly the pixels within the radius of the line", () => {
  const canvas = createImage(40, 40);
  paintStroke(canvas, [0.25, 0.5, 0.75, 0.5], 0.1, [1, 1, 1], 1);
  const at = (x: number, y: number) => canvas.data[(y * 40 + x) * 3];
  expect([at(20, 20), at(10, 20), at(20, 17), at(20, 22)]).toEqual([1, 1, 1, 1]);
  expect([at(20, 12), at(3, 20), at(36, 20), at(20, 28)]).toEqual([0, 0, 0, 0]);
});
