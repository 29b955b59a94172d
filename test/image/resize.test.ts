import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import {
  createImage,
  crop,
  type Filter,
  fromBytes,
  type Image,
  resize,
  toBytes,
} from "../../src/image/index.ts";

/** A grey picture from rows of values. */
function grey(...rows: number[][]): Image {
  const data = Float32Array.from(rows.flat().flatMap((value) => [value, value, value]));
  return { width: rows[0]!.length, height: rows.length, data };
}

/** The values of the red channel, row by row, rounded to 6 digits. */
function reds({ width, height, data }: Image): number[][] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => Number(data[(y * width + x) * 3]!.toFixed(6))),
  );
}

describe("bytes", () => {
  test("round half up, clamp, and come back", () => {
    const image = grey([0, 1, 0.5, 1 / 255, 1.5 / 255, 1.4999 / 255, -3, 7, Number.NaN]);
    expect([...toBytes(image)].filter((_, i) => i % 3 === 0)).toEqual([0, 255, 128, 1, 2, 1, 0, 255, 0]);
    const all = Uint8Array.from({ length: 768 }, (_, i) => i % 256);
    expect(toBytes(fromBytes(16, 16, all))).toEqual(all);
    expect(() => fromBytes(16, 16, all.subarray(1))).toThrow(UsageError);
  });
});

describe("resize", () => {
  test("nearest repeats and picks", () => {
    expect(reds(resize(grey([1, 2], [3, 4]), 4, 4, "nearest"))).toEqual([
      [1, 1, 2, 2],
      [1, 1, 2, 2],
      [3, 3, 4, 4],
      [3, 3, 4, 4],
    ]);
    expect(reds(resize(grey([1, 2, 3, 4, 5, 6]), 2, 1, "nearest"))).toEqual([[2, 5]]);
  });

  test("bilinear is torch.nn.functional.interpolate with align_corners=False", () => {
    expect(reds(resize(grey([0, 1]), 4, 1, "bilinear"))).toEqual([[0, 0.25, 0.75, 1]]);
    expect(reds(resize(grey([0, 1, 2, 3]), 2, 1, "bilinear"))).toEqual([[0.5, 2.5]]);
    expect(reds(resize(grey([0, 1], [2, 3]), 3, 3, "bilinear"))).toEqual([
      [0, 0.5, 1],
      [1, 1.5, 2],
      [2, 2.5, 3],
    ]);
  });

  test("area is the mean of the covered area, with fractions of pixels", () => {
    expect(reds(resize(grey([0, 1], [2, 3]), 1, 1, "area"))).toEqual([[1.5]]);
    expect(reds(resize(grey([0, 3, 6]), 2, 1, "area"))).toEqual([[1, 5]]);
    expect(reds(resize(grey([0, 3]), 3, 1, "area"))).toEqual([[0, 1.5, 3]]);
  });

  test.each<Filter>(["nearest", "bilinear", "area"])(
    "%s keeps one colour and the same size as they are",
    (filter) => {
      for (const [width, height] of [
        [1, 1],
        [7, 3],
        [3, 7],
        [50, 31],
      ] as const) {
        const { data } = resize(createImage(13, 5, [0.25, 0.5, 0.75]), width, height, filter);
        expect(data.length).toBe(width * height * 3);
        data.forEach((value, i) => {
          expect(value).toBeCloseTo([0.25, 0.5, 0.75][i % 3]!, 5);
        });
      }
      const image = grey([0.1, 0.9, 0.3], [0.5, 0.2, 0.7]);
      expect(resize(image, 3, 2, filter)).toEqual(image);
    },
  );
});

test.each<Filter>(["nearest", "area", "lanczos", "hamming"])(
  "%s of a part is that part of the whole",
  (filter) => {
    const image = grey([0.1, 0.9, 0.3, 0.2], [0.5, 0.2, 0.7, 0], [1, 0.4, 0.6, 0.8]);
    const window = { left: 2, top: 1, width: 4, height: 3 };
    const part = resize(image, 7, 5, filter, window);
    expect(part).toEqual(crop(resize(image, 7, 5, filter), 2, 1, 4, 3));
    expect(new Set(part.data).size).toBeGreaterThan(3);
  },
);

test("a part of a long picture that is enlarged takes only the rows around it", () => {
  const image = createImage(1, 3_000_000);
  image.data.set([0.2, 0.4, 0.6], 3 * 1_000_000);
  const window = { left: 0, top: 1e9 + 499, width: 1000, height: 2 };
  const { data } = resize(image, 1000, 3e9, "lanczos", window);
  const short = { width: 1, height: 9, data: image.data.subarray(3 * 999_996, 3 * 1_000_005) };
  expect(data).toEqual(resize(short, 1000, 9000, "lanczos", { ...window, top: 4499 }).data);
  expect([...data.subarray(-3)].map((value) => value.toFixed(1))).toEqual(["0.2", "0.4", "0.6"]);
});

test("crop returns a part, and refuses one outside the picture", () => {
  const image = grey([1, 2, 3], [4, 5, 6]);
  expect(reds(crop(image, 1, 0, 2, 2))).toEqual([
    [2, 3],
    [5, 6],
  ]);
  for (const [left, top, width, height] of [
    [-1, 0, 1, 1],
    [0, -1, 1, 1],
    [2, 0, 2, 1],
    [0, 1, 1, 2],
    [0.5, 0, 1, 1],
    [0, Number.NaN, 1, 1],
    [0, 0, 1.5, 1],
    [0, 0, 1, 0],
  ] as const) {
    expect(() => crop(image, left, top, width, height)).toThrow(UsageError);
  }
});

test("an unknown filter, and a window that leaves the result, are refused", () => {
  const image = grey([1, 2, 3], [4, 5, 6]);
  expect(() => resize(image, 8, 8, "lanczos3" as never)).toThrow(
    /filter: expected a known filter, got "lanczos3"/,
  );
  const window = { left: 6, top: 0, width: 4, height: 1 };
  expect(() => resize(image, 8, 8, "nearest", window)).toThrow(/window: expected a part of 8 × 8/);
});
