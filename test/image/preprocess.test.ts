/**
 * @file Preprocessing of the published checkpoints, compared with their processors; see
 * test/fixtures/preprocess/make.py.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { createImage, loadImage, toBytes } from "../../src/image/index.ts";
import {
  huggingFacePreprocessing,
  metaPreprocessing,
  type Preprocessing,
  preprocess,
} from "../../src/image/preprocess.ts";
import { readPreprocessing } from "../../src/image/preprocess-config.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/preprocess/${name}`, import.meta.url));
const { cases, full } = JSON.parse(readFileSync(fixture("cases.json"), "utf8")) as {
  cases: { picture: string; made: string; settings: Record<string, unknown> }[];
  full: {
    picture: string;
    settings: Record<string, unknown>;
    shape: number[];
    places: number[];
    values: number[];
  }[];
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "preprocess-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The settings of a folder with this `preprocessor_config.json`. */
async function read(settings: object, file = "preprocessor_config.json"): Promise<Preprocessing> {
  const path = await mkdtemp(join(folder, "model-"));
  await writeFile(join(path, file), JSON.stringify(settings));
  return readPreprocessing(path);
}

async function settingsOf({ meta, ...settings }: Record<string, unknown>): Promise<Preprocessing> {
  if (typeof meta !== "number") return read(settings);
  return { ...metaPreprocessing, size: meta, crop: { width: meta, height: meta } };
}

describe("the references' grey levels", () => {
  test.each(cases.map((each) => [`${each.picture} ${JSON.stringify(each.settings)}`, each] as const))(
    "%s",
    async (_what, { picture, made, settings }) => {
      const how = await settingsOf(settings);
      const planes = preprocess(await loadImage(fixture(picture)), how);
      const wanted = await loadImage(fixture(made));
      const levels = toBytes(wanted);
      const pixels = wanted.width * wanted.height;
      expect(planes.length).toBe(3 * pixels);
      let worst = 0;
      for (let i = 0; i < pixels; i++)
        for (let c = 0; c < 3; c++)
          worst = Math.max(worst, Math.abs((planes[c * pixels + i]! + 1) / how.scale - levels[i * 3 + c]!));
      // Exact to the level; Meta's own rounds down when it composites a picture on white, so two levels.
      expect(worst).toBeLessThan("meta" in settings && picture === "alpha.png" ? 2.001 : 0.001);
    },
  );

  test.each(full)("the values themselves, at the published size: $picture", async (each) => {
    const planes = preprocess(await loadImage(fixture(each.picture)), await read(each.settings));
    expect(planes.length).toBe(each.shape.reduce((product, size) => product * size, 1));
    for (const [i, place] of each.places.entries()) expect(planes[place]).toBeCloseTo(each.values[i]!, 5);
  });
});

test("a very long picture costs no more than its crop", () => {
  const planes = preprocess(createImage(8, 20_000, [0, 1, 1 / 255]));
  expect(planes.length).toBe(3 * 512 * 512);
  expect(planes[0]).toBe(-1);
  expect(planes[512 * 512]).toBeCloseTo(255 * 0.0078 - 1, 6);
  expect(planes.at(-1)).toBeCloseTo(0.0078 - 1, 6);
});

test("a crop larger than the scaled picture is refused", () => {
  const settings: Preprocessing = {
    ...huggingFacePreprocessing,
    size: { width: 9, height: 3 },
    crop: { width: 4, height: 4 },
  };
  expect(() => preprocess(createImage(10, 10), settings)).toThrow(XPromptError);
  expect(() => preprocess(createImage(10, 10), settings)).toThrow(/at most the scaled size 9 × 3, got 4 × 4/);
});

describe("the processor's configuration", () => {
  test("is as published where a folder says nothing", async () => {
    expect(await readPreprocessing(folder)).toEqual(huggingFacePreprocessing);
    expect(await read({})).toEqual(huggingFacePreprocessing);
    expect(await read({ image_seq_length: 1024 }, "processor_config.json")).toEqual(huggingFacePreprocessing);
  });

  test("is found in both files, in every form", async () => {
    const json = {
      image_processor_type: "ChameleonImageProcessorFast",
      size: { shortest_edge: 256 },
      crop_size: 224,
      resample: 3,
      rescale_factor: 1 / 255,
      image_mean: 0.5,
      image_std: [0.5, 0.25, 1],
      do_resize: true,
    };
    const wanted: Preprocessing = {
      size: 256,
      longEdge: "floor",
      filter: "bicubic",
      crop: { width: 224, height: 224 },
      scale: 1 / 255,
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.25, 1],
    };
    expect(await read(json)).toEqual(wanted);
    expect(await read({ image_processor: json }, "processor_config.json")).toEqual(wanted);
    const { crop, ...whole } = {
      ...huggingFacePreprocessing,
      scale: 1,
      mean: [0, 0, 0],
      size: { width: 9, height: 8 },
    };
    const off = {
      do_center_crop: false,
      do_rescale: false,
      do_normalize: false,
      size: { height: 8, width: 9 },
    };
    expect(await read(off)).toEqual(whole);
  });

  test.each<[string, object, RegExp]>([
    ["pixels beyond all numbers", { rescale_factor: 1e300 }, /rescale_factor, .* up to 1000/],
    ["deviations of nearly 0", { image_std: 1e-320 }, /image_std that map pixels to values up to 1000/],
    [
      "another processor",
      { image_processor_type: "JanusImageProcessor" },
      /image_processor_type: expected a Chameleon/,
    ],
    ["no scaling", { do_resize: false }, /do_resize/],
    ["an unknown filter", { resample: 6 }, /resample/],
    ["a size of 0", { size: { shortest_edge: 0 } }, /size/],
    ["a size that would fill the memory", { crop_size: 1e6 }, /crop_size/],
    ["two channels", { image_mean: [1, 1] }, /image_mean/],
    ["a division by 0", { image_std: [1, 0, 1] }, /image_std: expected deviations other than 0/],
    [
      "a part larger than the whole",
      { size: { shortest_edge: 256 } },
      /crop_size within size, 256 × 256, got 512 × 512/,
    ],
  ])("refuses %s, in one line", async (_what, json, message) => {
    const error = await read(json).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(XPromptError);
    expect((error as XPromptError).message).toMatch(message);
    expect((error as XPromptError).message).toMatch(/^reading processor config [^\n]*$/);
  });
});
