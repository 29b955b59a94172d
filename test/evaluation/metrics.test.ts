/** @file Metrics against scikit-image, scikit-learn, SciPy and the protocols' own formulas (fixtures/evaluation/make.py). */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bootstrap, mean, meanInterval, shareInterval } from "../../src/evaluation/metrics/bootstrap.ts";
import { depthRmse, eigenCrop } from "../../src/evaluation/metrics/geometry.ts";
import { boundedPsnr, l1, l2, psnr, rmse } from "../../src/evaluation/metrics/pictures.ts";
import { classesByColor, MeanIoU } from "../../src/evaluation/metrics/segmentation.ts";
import { ssim } from "../../src/evaluation/metrics/ssim.ts";
import { createImage, fromBytes } from "../../src/image/index.ts";

interface PictureCase {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly a: string;
  readonly b: string;
  readonly l1: number;
  readonly l2: number;
  readonly psnr: number;
  readonly ssim: number;
  readonly ssimGaussian: number;
}
interface Reference {
  readonly pictures: readonly PictureCase[];
  readonly segmentation: {
    readonly classes: number;
    readonly label: readonly number[][];
    readonly guess: readonly number[][];
    readonly perClass: readonly (number | null)[];
    readonly mean: number;
  };
  readonly depth: { readonly rmse: number; readonly judged: number };
  readonly shares: readonly { count: number; of: number; low: number; high: number }[];
  readonly bootstrap: { readonly values: number[]; readonly low: number; readonly high: number };
}
const reference: Reference = JSON.parse(
  readFileSync(new URL("../fixtures/evaluation/reference.json", import.meta.url), "utf8"),
);

describe("pictures", () => {
  test.each(reference.pictures)("$name: agrees with scikit-image", ({ width, height, ...expected }) => {
    const [a, b] = [expected.a, expected.b].map((bytes) =>
      fromBytes(width, height, Buffer.from(bytes, "base64")),
    ) as [ReturnType<typeof fromBytes>, ReturnType<typeof fromBytes>];
    expect(l1(a, b)).toBeCloseTo(expected.l1, 9);
    expect(l2(a, b)).toBeCloseTo(expected.l2, 9);
    expect(rmse(a, b)).toBeCloseTo(Math.sqrt(expected.l2), 9);
    expect(psnr(a, b)).toBeCloseTo(expected.psnr, 8);
    expect(ssim(a, b)).toBeCloseTo(expected.ssim, 9);
    expect(ssim(a, b, "gaussian")).toBeCloseTo(expected.ssimGaussian, 9);
  });

  test("equal pictures", () => {
    const image = createImage(12, 12, [0.2, 0.5, 0.9]);
    expect(psnr(image, image)).toBe(Infinity);
    expect(ssim(image, image)).toBe(1);
    expect(rmse(image, image)).toBe(0);
  });

  test("the bounded PSNR is at most that of half a step of 8 bits", () => {
    const image = createImage(12, 12, [0.2, 0.5, 0.9]);
    expect(boundedPsnr(image, image)).toBeCloseTo(20 * Math.log10(510), 9);
    const other = createImage(12, 12, [0.2, 0.5, 0.89]);
    expect(boundedPsnr(image, other)).toBe(psnr(image, other));
  });

  test("pictures of different sizes are refused", () => {
    expect(() => psnr(createImage(8, 8), createImage(8, 9))).toThrow(/8 × 8 and 8 × 9/);
    expect(() => ssim(createImage(8, 8), createImage(8, 8), "gaussian")).toThrow(/at least 11/);
  });
});

describe("segmentation", () => {
  test("mIoU agrees with scikit-learn's and ignores label 0", () => {
    const { classes, label, guess, perClass, mean } = reference.segmentation;
    const measured = new MeanIoU(classes);
    label.forEach((row, i) => {
      measured.add(guess[i]!, row);
    });
    expect(measured.perClass().map((value) => (Number.isNaN(value) ? null : value))).toEqual(perClass);
    expect(measured.mean).toBeCloseTo(mean, 12);
  });

  test("the nearest colour determines the class", () => {
    const palette = [
      [1, 0, 0],
      [0, 0, 1],
      [1, 1, 1],
    ];
    const image = {
      width: 3,
      height: 1,
      data: Float32Array.of(0.1, 0.2, 0.6, 0.9, 0.7, 0.8, 0.7, 0.2, 0.1),
    };
    expect([...classesByColor(image, palette)]).toEqual([2, 3, 1]);
  });

  test("an unknown class is refused", () => {
    expect(() => new MeanIoU(3).add([4], [1])).toThrow(/up to 3, got 4/);
  });
});

describe("geometry", () => {
  test("depth in Eigen's crop", () => {
    const [width, height] = [640, 480];
    const at = (value: (x: number, y: number) => number) =>
      Float64Array.from({ length: width * height }, (_, i) => value(i % width, Math.floor(i / width)));
    const truth = at((x, y) => 5 + 5.5 * Math.sin(0.013 * x + 0.021 * y));
    const guess = at((x, y) => 0.7 * Math.cos(0.05 * x - 0.04 * y)).map((value, i) => value + truth[i]!);
    const { top, bottom, left, right } = eigenCrop;
    const judged = (pixel: number) => {
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      return x >= left && x < right && y >= top && y < bottom;
    };
    expect(depthRmse(guess, truth, judged)).toBeCloseTo(reference.depth.rmse, 10);
    const count = truth.reduce((sum, t, i) => sum + (t > 1e-3 && t < 10 && judged(i) ? 1 : 0), 0);
    expect(count).toBe(reference.depth.judged);
  });
});

describe("bootstrap", () => {
  const { values, low, high } = reference.bootstrap;

  test("the interval of a mean agrees with SciPy's up to chance", () => {
    const [ours, theirs] = [meanInterval(values, 1), [low, high]];
    const width = high - low;
    for (const end of [0, 1]) expect(Math.abs(ours[end]! - theirs[end]!)).toBeLessThan(0.06 * width);
  });

  test.each(reference.shares)(
    "the interval of a share is Wilson's: $count of $of",
    ({ count, of, low, high }) => {
      const column = Array.from({ length: of }, (_, i) => (i < count ? 1 : 0));
      const [from, to] = shareInterval(column);
      expect(from).toBeCloseTo(low, 6);
      expect(to).toBeCloseTo(high, 6);
    },
  );

  test("is deterministic from the seed", () => {
    expect(meanInterval(values, 3)).toEqual(meanInterval(values, 3));
    expect(meanInterval(values, 3)).not.toEqual(meanInterval(values, 4));
  });

  test("paired columns are resampled together: a constant difference has no spread", () => {
    const shifted = values.map((value) => value + 2);
    const [from, to] = bootstrap([shifted, values], ([a, b]) => mean(a!) - mean(b!), 1);
    expect(from).toBeCloseTo(2, 9);
    expect(to).toBeCloseTo(2, 9);
  });
});
