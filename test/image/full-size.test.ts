/** @file Exactly known changes of a synthetic picture, as small drawings, applied at full size. */
import { describe, expect, test } from "vitest";
import { boundedPsnr } from "../../src/evaluation/metrics/pictures.ts";
import {
  applyChange,
  createImage,
  fitChange,
  fromBytes,
  type Image,
  resize,
  toBytes,
} from "../../src/image/index.ts";

const SMALL = 32;

/** Colours and fine detail as a function of the place, x and y from 0 to 1. */
type Scene = (x: number, y: number) => readonly [number, number, number];

const scene: Scene = (x, y) => {
  const fine = 0.1 * Math.sin(150 * x + 40 * y) * Math.sin(170 * y);
  const slow = 0.5 + 0.3 * Math.sin(5 * x - 3 * y);
  return [slow + fine, 0.5 + 0.25 * Math.cos(4 * y + 2 * x) + fine, 0.75 - 0.5 * slow + fine];
};

function render(scene: Scene, width = 160, height = 96): Image {
  const image = createImage(width, height);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i += 3)
      image.data.set(
        scene((x + 0.5) / width, (y + 0.5) / height).map((value) => Math.min(Math.max(value, 0), 1)),
        i,
      );
  return image;
}

/** The change from `before` to `after`, as drawn by a perfect model of 32 × 32 pixels, at full size. */
function lifted(before: Image, after: Image): Image {
  const { width, height } = before;
  const [query, drawn] = [before, after].map((image) => resize(image, SMALL, SMALL, "area")) as [
    Image,
    Image,
  ];
  const original = { width, height, data: toBytes(before) };
  const result = applyChange(fitChange({ query, seen: query, drawn }, original), original);
  return fromBytes(result.width, result.height, result.data);
}

const inDisc = (x: number, y: number) => Math.hypot(x - 0.6, (y - 0.4) * 0.6) < 0.12;
const withDisc: Scene = (x, y) => (inDisc(x, y) ? [0.9, 0.1, 0.1] : scene(x, y));

describe("transfers a change from a small drawing to full size", () => {
  const before = render(scene);
  const changed = (change: (color: readonly number[], x: number, y: number) => readonly number[]): Image =>
    render((x, y) => change(scene(x, y), x, y) as [number, number, number]);

  test("no change leaves every pixel unchanged", () => {
    expect(toBytes(lifted(before, before))).toEqual(toBytes(before));
  });

  test("a global tone map keeps the detail", () => {
    const after = changed(([r, g, b]) => [0.6 * r! + 0.2, 0.3 * r! + 0.5 * g!, 1 - b!]);
    expect(boundedPsnr(lifted(before, after), after)).toBeGreaterThan(40);
  });

  test("a vignette", () => {
    const after = changed((color, x, y) =>
      color.map((v) => v * (1 - 1.2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))),
    );
    expect(boundedPsnr(lifted(before, after), after)).toBeGreaterThan(33);
  });

  test("a part in another colour", () => {
    const after = changed(([r, g, b], x) => {
      const share = 1 / (1 + Math.exp(-30 * (x - 0.5)));
      return [r! + (b! - r!) * share, g!, b! + (r! - b!) * share];
    });
    expect(boundedPsnr(lifted(before, after), after)).toBeGreaterThan(28);
  });

  test.each([
    ["that was put in", render(scene), render(withDisc)],
    ["that was taken away", render(withDisc), render(scene)],
  ])("a disc %s", (_, from, to) => {
    const result = lifted(from, to);
    const { width, height } = result;
    let [inside, outside, insideCount, outsideCount] = [0, 0, 0, 0];
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < 3; c++, i++) {
          const [u, v] = [(x + 0.5) / width, (y + 0.5) / height];
          const distance = Math.hypot(u - 0.6, (v - 0.4) * 0.6);
          const error = (result.data[i]! - to.data[i]!) ** 2;
          if (distance < 0.08) [inside, insideCount] = [inside + error, insideCount + 1];
          if (distance > 0.25) [outside, outsideCount] = [outside + error, outsideCount + 1];
        }
    // Inside, the result is the drawing, without detail; outside, it is the picture.
    expect(Math.sqrt(inside / insideCount)).toBeLessThan(0.1);
    expect(Math.sqrt(outside / outsideCount)).toBeLessThan(0.02);
  });

  test.each([
    ["mirrored", (x: number, y: number) => scene(1 - x, y)],
    ["upside down", (x: number, y: number) => scene(x, 1 - y)],
  ])("%s", (_, turned: Scene) => {
    expect(boundedPsnr(lifted(before, render(turned)), render(turned))).toBeGreaterThan(40);
  });

  test("a blur takes the detail away", () => {
    const blurred = resize(resize(before, 20, 12, "area"), 160, 96, "bicubic");
    const result = lifted(before, blurred);
    expect(boundedPsnr(result, blurred)).toBeGreaterThan(boundedPsnr(before, blurred) + 3);
  });
});
