import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { Random } from "../../../src/random.ts";
import { loadPairs, openPairs } from "../../../src/tasks/datasets/index.ts";
import { paintOf, renderMap } from "../../../src/tasks/datasets/render.ts";
import { all, colorOf, type Files, fixture, plainPicture, writeFiles } from "./kit.ts";

const [x, y] = [
  [200, 0, 0],
  [0, 200, 0],
];
const maps = JSON.parse(await readFile(fixture("maps.json"), "utf8")) as {
  depth: number[][];
  labels: number[];
};
const depth16 = await readFile(fixture("depth16.png"));
const depth8 = await sharp(Buffer.alloc(256, 51), { raw: { width: 16, height: 16, channels: 1 } })
  .toColourspace("b-w")
  .png()
  .toBuffer();
const labels = await readFile(fixture("labels.png"));

const layouts: [title: string, format: string, files: Files, ids: string[], split?: string][] = [
  [
    "LOL",
    "lol",
    { "our485/low/2.png": x, "our485/high/2.png": y, "eval15/low/1.png": x, "eval15/high/1.png": y },
    ["our485/low/2"],
  ],
  [
    "LOL, its test",
    "lol",
    { "our485/low/2.png": x, "our485/high/2.png": y, "eval15/low/1.png": x, "eval15/high/1.png": y },
    ["eval15/low/1"],
    "test",
  ],
  [
    "LOL version 2",
    "lol",
    { "LOLv2/Train/Low/low00001.png": x, "LOLv2/Train/Normal/normal00001.png": y },
    ["LOLv2/Train/Low/low00001"],
  ],
  [
    "Rain13K",
    "rain",
    {
      "Rain13K/train/input/1.jpg": x,
      "Rain13K/train/target/1.jpg": y,
      "Rain13K/test/Rain100H/input/1.png": x,
      "Rain13K/test/Rain100H/target/1.png": y,
    },
    ["Rain13K/train/input/1"],
  ],
  [
    "RainTrainH",
    "rain",
    { "rainy/rain-001.png": x, "norain-001.png": y, "rainy/rain-002.png": x, "norain-002.png": y },
    ["rainy/rain-001", "rainy/rain-002"],
  ],
  ["RainTrainL", "rain", { "rain-1.png": x, "norain-1.png": y, "rainstreak-1.png": x }, ["rain-1"]],
  ["Rain200H", "rain", { "rain/X2/norain-1x2.png": x, "norain/norain-1.png": y }, ["rain/X2/norain-1x2"]],
  [
    "Rain12600",
    "rain",
    { "rainy_image/7_1.jpg": x, "rainy_image/7_14.jpg": x, "ground_truth/7.jpg": y },
    ["rainy_image/7_1", "rainy_image/7_14"],
  ],
  [
    "GoPro",
    "gopro",
    {
      "train/GOPR0372_07_00/blur/000047.png": x,
      "train/GOPR0372_07_00/sharp/000047.png": y,
      "train/GOPR0372_07_00/blur_gamma/000047.png": x,
      "test/GOPR0384_11_00/blur/000001.png": x,
      "test/GOPR0384_11_00/sharp/000001.png": y,
    },
    ["train/GOPR0372_07_00/blur/000047"],
  ],
  [
    "MIT-Adobe FiveK",
    "fivek",
    { "input/a0001.jpg": x, "expertC/a0001.tif": y, "expertA/a0001.tif": x },
    ["input/a0001"],
  ],
];

describe("public sets are known by their layout", () => {
  it.each(layouts)("%s", async (_, format, files, ids, split) => {
    const path = await writeFiles(files);
    const source = await openPairs({ path, split });
    expect(source.format).toBe(format);
    const pairs = await all(source.decoded(8));
    expect(pairs.map(({ id }) => id)).toEqual(ids);
    expect(source.defects.total).toBe(0);
    for (const { input, output, ...texts } of pairs) {
      expect(colorOf(input)![0]).toBeGreaterThan(150);
      expect(colorOf(output)![1]).toBeGreaterThan(150);
      expect(texts).toMatchObject({ task: format, source: format, subtask: expect.any(String) });
      for (const text of [texts.instruction, texts.difference, texts.reverseInstruction])
        expect(text).toMatch(/^[a-z -]+$/);
    }
  });

  it("keeps the turns of one MagicBrush picture, and the frames of one GoPro video, together", async () => {
    for (const [path, group] of [
      [fixture("magicbrush.parquet"), (id: string) => Math.floor(Number(id.split("#")[1]) / 2)],
      [await writeFiles(layoutOfVideos()), (id: string) => id.split("/")[0]],
    ] as const) {
      const parts = await Promise.all(
        (["train", "heldOut"] as const).map(async (part) =>
          all((await openPairs({ path, part, heldOut: 0.5 })).records()),
        ),
      );
      const groups = parts.map((records) => new Set<unknown>(records.map(({ id }) => group(id))));
      expect(groups[0]!.size).toBeGreaterThan(0);
      expect(groups[1]!.size).toBeGreaterThan(0);
      for (const each of groups[0]!) expect(groups[1]).not.toContain(each);
    }
  });

  it("MagicBrush and UltraEdit by their columns", async () => {
    expect((await openPairs({ path: fixture("magicbrush.parquet") })).format).toBe("magicbrush");
    const ultraedit = await openPairs({ path: fixture("ultraedit.parquet") });
    expect(ultraedit.format).toBe("ultraedit");
    const records = await all(ultraedit.records());
    expect(records.map(({ instruction }) => instruction)).toEqual([
      ...Array(3).fill("make it a cat"),
      undefined,
    ]);
    expect(records[0]).toMatchObject({ licence: "CC-BY-4.0", subtask: "editing", source: "ultraedit" });
  });
});

function layoutOfVideos(): Files {
  const files: Record<string, readonly number[]> = {};
  for (let video = 0; video < 4; video++)
    for (let frame = 0; frame < 2; frame++)
      for (const side of ["blur", "sharp"]) files[`GOPR000${video}/${side}/00${frame}.png`] = x;
  return files;
}

describe("maps become pictures", () => {
  const nyu: [string, Files, string[]][] = [
    ["rgb/ and depth/", { "nyu/rgb/1.png": x, "nyu/depth/1.png": depth16 }, ["nyu/rgb/1"]],
    [
      "sync",
      { "kitchen_0028b/rgb_00045.jpg": x, "kitchen_0028b/sync_depth_00045.png": depth16 },
      ["kitchen_0028b/rgb_00045"],
    ],
    [
      "nyu2_test",
      { "data/nyu2_test/00000_colors.png": x, "data/nyu2_test/00000_depth.png": depth16 },
      ["data/nyu2_test/00000_colors"],
    ],
  ];

  it.each(nyu)("NYUv2, 16 bits, %s: the colours that the formula gives", async (_, files, ids) => {
    const source = await openPairs({ path: await writeFiles(files) });
    expect(source.format).toBe("nyuv2");
    const pairs = await all(source.decoded(8));
    expect(pairs.map(({ id }) => id)).toEqual(ids);
    const { data } = pairs[0]!.output;
    maps.depth.flat().forEach((value, i) => {
      expect(data[i]).toBeCloseTo(value, 5);
    });
  });

  it("NYUv2 in folders of scenes is split by them, without such folders by pictures", async () => {
    const scenes: Files = {};
    const flat: Files = {};
    for (let i = 0; i < 12; i++) {
      const scene = `nyu/kitchen_${i % 6}`;
      Object.assign(scenes, { [`${scene}/rgb_${i}.jpg`]: x, [`${scene}/sync_depth_${i}.png`]: depth16 });
      Object.assign(flat, { [`nyu/rgb/${i}.png`]: x, [`nyu/depth/${i}.png`]: depth16 });
    }
    for (const [files, count] of [
      [scenes, 6],
      [flat, 12],
    ] as const) {
      const path = await writeFiles(files);
      const groups = async (part: "train" | "heldOut") => {
        const ids: string[] = [];
        for await (const { id } of (await openPairs({ path, heldOut: 0.3, part })).records())
          ids.push(count === 6 ? id.slice(0, id.lastIndexOf("/")) : id);
        return new Set(ids);
      };
      const [train, heldOut] = [await groups("train"), await groups("heldOut")];
      expect(train.size + heldOut.size).toBe(count);
      expect(heldOut.size).toBeGreaterThan(0);
    }
  });

  it("NYUv2, 8 bits: 51 of 255 is 2 m, as 2000 of 16 bits", async () => {
    const folder = await writeFiles({
      "data/nyu2_train/kitchen_out/1.jpg": x,
      "data/nyu2_train/kitchen_out/1.png": depth8,
    });
    const { pairs } = await loadPairs(folder, { size: 8 });
    const paint = paintOf({ kind: "depth", metres: { 8: 10 / 255, 16: 0.001 }, near: 0.7, far: 10 });
    expect([...pairs[0]!.output.data.subarray(0, 3)]).toEqual([...Float32Array.from(paint.color(2000, 16))]);
  });

  it("ADE20K: equal labels one colour, others another, none black", async () => {
    const folder = await writeFiles({
      "ADEChallengeData2016/images/training/ADE_train_00000001.jpg": x,
      "ADEChallengeData2016/annotations/training/ADE_train_00000001.png": labels,
      "ADEChallengeData2016/images/validation/ADE_val_00000001.jpg": x,
      "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png": labels,
    });
    const source = await openPairs({ path: folder });
    expect([source.format, source.length]).toEqual(["ade20k", 1]);
    const [pair] = await all(source.decoded(8));
    const colors = new Map<number, string>();
    maps.labels.forEach((label, i) => {
      const color = String([...pair!.output.data.subarray(3 * i, 3 * i + 3)]);
      expect(colors.get(label) ?? color).toBe(color);
      colors.set(label, color);
      expect(color === "0,0,0").toBe(label === 0 || label > 150);
    });
    const seen = [...colors].filter(([label]) => label > 0 && label <= 150);
    expect(new Set(seen.map(([, color]) => color)).size).toBe(seen.length);
  });

  it("random colours are per context: the same for all its maps, others in other contexts", async () => {
    const files: Record<string, Uint8Array | readonly number[]> = {};
    for (const i of [1, 2, 3, 4])
      Object.assign(files, { [`nyu/rgb/${i}.png`]: x, [`nyu/depth/${i}.png`]: depth16 });
    const source = await openPairs({ path: await writeFiles(files), colors: "drawn" });
    const shape = { examples: 1, todos: 1, size: 8 };
    const [one, two] = [await source.context(0, shape), await source.context(1, shape)];
    expect(one.examples[0]!.output).toEqual(one.todos[0]!.output);
    expect(one.examples[0]!.output).not.toEqual(two.examples[0]!.output);
    const drawn = paintOf({ kind: "labels", count: 5 }, Random.of(1));
    expect(new Set([1, 2, 3, 4].map((label) => String(drawn.color(label, 8)))).size).toBe(4);
  });

  it("a map in colours is a broken record", async () => {
    const paint = paintOf({ kind: "labels", count: 5 });
    await expect(renderMap(await plainPicture("a.png", x), 8, paint)).rejects.toThrow(
      "expected one channel of 8 or 16 bits, got 3",
    );
    const folder = await writeFiles({ "nyu/rgb/1.png": x, "nyu/depth/1.png": y });
    await expect(loadPairs(folder, { size: 8 })).rejects.toThrow("got none of 1, 1 broken");
  });
});
