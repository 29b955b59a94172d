/** @file Metrics of the public data sets. */
import { describe, expect, test } from "vitest";
import { protocols } from "../../src/evaluation/suites/protocols.ts";
import { createImage, type Image } from "../../src/image/index.ts";
import { publicSetTable } from "../../src/tasks/datasets/public-sets.ts";
import { paintOf } from "../../src/tasks/datasets/render.ts";
import { depthMap } from "./maps.ts";

const SIZE = 16;

describe("depth", () => {
  const { meter, stored } = protocols.depth;
  const paint = paintOf(publicSetTable.nyuv2.render!);
  const drawn = (millimetres: number): Image => createImage(SIZE, SIZE, paint.color(millimetres, 16));

  /** RMSE in metres between pictures in the colours of given depths and stored maps. */
  async function measured(pairs: readonly (readonly [drawn: number, truth: number])[]) {
    const meters = meter();
    for (const [guess, truth] of pairs) {
      const record = { id: "", task: "", source: "", output: depthMap(truth) };
      meters.add(drawn(guess), { picture: drawn(truth), ...(await stored!(record, SIZE)) });
    }
    const { rmse } = meters.figures(1);
    return { rmse: rmse?.mean, unjudged: meters.unjudged };
  }

  // Colours are converted to steps of 10 / 255 m.
  test.each([
    [700, 750, 0.05],
    [750, 700, 0.05],
    [2000, 2000, 0],
    [2000, 3000, 1],
    // Depths below 0.7 m have the colour of 0.7 m; the truth comes from the stored map.
    [300, 300, 0.4],
    [700, 100, 0.6],
  ])("the colour of %i mm against a true %i mm is %f m off", async (guess, truth, expected) => {
    const { rmse } = await measured([[guess, truth]]);
    expect(Math.abs(rmse! - expected)).toBeLessThan(0.03);
  });

  test("a picture without evaluated pixels is counted and excluded from the figures", async () => {
    const alone = await measured([[2000, 3000]]);
    const unknown = [2000, 0] as const;
    expect(await measured([unknown, [2000, 3000], unknown])).toEqual({ ...alone, unjudged: 2 });
    expect(await measured([unknown])).toEqual({ rmse: undefined, unjudged: 1 });
  });
});

test("labels: a picture without labels is counted", () => {
  const meter = protocols.labels.meter();
  meter.add(createImage(SIZE, SIZE, [1, 0, 0]), { picture: createImage(SIZE, SIZE) });
  expect(meter.unjudged).toBe(1);
  expect(meter.figures(1)).toEqual({ miou: null });
});

test.each(["restoration", "editing"] as const)(
  "%s: the mean stays finite with an equal picture",
  (protocol) => {
    const meter = protocols[protocol].meter();
    const [picture, other] = [
      createImage(SIZE, SIZE, [0.5, 0.5, 0.5]),
      createImage(SIZE, SIZE, [0.4, 0.4, 0.4]),
    ];
    meter.add(picture, { picture });
    meter.add(other, { picture });
    // The mean of 54.15 dB (half a step of 8 bits) and 20 dB.
    expect(meter.figures(1).psnr!.mean).toBeCloseTo((20 * Math.log10(510) + 20) / 2, 4);
  },
);
