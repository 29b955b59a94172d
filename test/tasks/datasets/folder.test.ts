import { symlink } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { decodePair } from "../../../src/tasks/datasets/decode.ts";
import { loadPairs, openPairs, reversed } from "../../../src/tasks/datasets/index.ts";
import { all, colorOf, type Files, manyPairs, newFolder, plainPicture, writeFiles } from "./kit.ts";

const red = [255, 0, 0];
const green = [0, 255, 0];

const naming: Record<string, Files> = {
  "dots, and other files beside": {
    "a.before.png": red,
    "a.after.png": green,
    "notes.md": "# notes",
    "thereafter.png": red,
    "train.before.png": red,
    "train.after.png": green,
  },
  "hyphens and JPEG": {
    "a-before.jpg": red,
    "a-after.jpg": green,
    "b_before.jpg": red,
    "b_after.png": green,
  },
  "two folders": { "input/a.png": red, "output/a.jpg": green, "input/x/b.png": red, "output/x/b.png": green },
  "before and after": {
    "before/a.png": red,
    "after/a.png": green,
    "before/b.png": red,
    "after/b.png": green,
  },
  "a folder for each": {
    "1/before.png": red,
    "1/after.png": green,
    "2/before.png": red,
    "2/after.png": green,
  },
};

describe("a folder of pairs", () => {
  it.each(Object.entries(naming))("is understood: %s", async (_, files) => {
    const { pairs, defects } = await loadPairs(await writeFiles(files), { size: 8 });
    expect(pairs).toHaveLength(2);
    expect(defects.total).toBe(0);
    for (const { input, output, task } of pairs) {
      expect(input).toMatchObject({ width: 8, height: 8 });
      expect(input!.data[0]! - output.data[0]!).toBeGreaterThan(0.9);
      expect(output.data[1]).toBeGreaterThan(0.9);
      expect(task).toBe(pairs[0]!.task);
    }
  });

  it("takes instructions from text files, or from the settings", async () => {
    const folder = await writeFiles({
      ...manyPairs(3),
      "00.txt": " paint it\n",
      "02.before.txt": "brush it",
    });
    const { pairs } = await loadPairs(folder, { size: 8, instruction: "change it" });
    expect(pairs.map((pair) => pair.instruction)).toEqual(["paint it", "change it", "brush it"]);
  });

  it("skips a pair whose text is too long, and counts it", async () => {
    const folder = await writeFiles({ ...manyPairs(3), "01.txt": "long ".repeat(20_000) });
    const { pairs, defects } = await loadPairs(folder, { size: 8 });
    expect(pairs.map(({ id }) => id)).toEqual(["00.before", "02.before"]);
    expect(defects.total).toBe(1);
    expect(defects.first[0]).toMatch(/expected at most 65536 bytes, got 100000/);
  });

  it("makes each subfolder a task when asked", async () => {
    const folder = await writeFiles({
      "blur/a.before.png": red,
      "blur/a.after.png": green,
      "rain/a.before.png": red,
      "rain/a.after.png": green,
    });
    const { pairs } = await loadPairs(folder, { size: 8, columns: { task: "folder" } });
    expect(pairs.map(({ id, task }) => [id, task])).toEqual([
      ["blur/a.before", "blur/"],
      ["rain/a.before", "rain/"],
    ]);
  });

  it("reads only the requested split", async () => {
    const folder = await writeFiles({
      "train/input/a.png": red,
      "train/output/a.png": green,
      "test/input/b.png": red,
      "test/output/b.png": green,
    });
    const ids = async (split?: string) =>
      (await loadPairs(folder, { size: 8, split })).pairs.map(({ id }) => id);
    expect(await ids()).toEqual(["train/input/a"]);
    expect(await ids("test")).toEqual(["test/input/b"]);
    expect(await ids("all")).toHaveLength(2);
    await expect(ids("dev")).rejects.toThrow(
      'expected a split "dev", got test, train (correct the setting split)',
    );
  });

  it("follows links to files, and not to folders", async () => {
    const folder = await newFolder();
    const store = await writeFiles({ "one.png": red, "two.png": green });
    await symlink(join(store, "one.png"), join(folder, "a.before.png"));
    await symlink(join(store, "two.png"), join(folder, "a.after.png"));
    await symlink(folder, join(folder, "loop"));
    expect((await loadPairs(folder, { size: 8 })).pairs).toHaveLength(1);
  });

  it("skips and counts broken records, each once, with the reason", async () => {
    const folder = await writeFiles({
      ...manyPairs(2),
      "01.after.webp": green,
      "02.before.png": red,
      "03.after.png": green,
      "04.before.png": "no picture",
      "04.after.png": green,
      "05.before.gif": "GIF89a",
      "06.before.png": red,
      "06.after.png": "",
    });
    const source = await openPairs({ path: folder });
    for (let i = 0; i < 2; i++) expect(await all(source.stream({ size: 8, epochs: 1 }))).toHaveLength(2);
    const { total, byKind, first } = source.defects;
    expect(total).toBe(5);
    expect(byKind).toEqual({ picture: 2, missing: 3, metadata: 0, type: 0, path: 0 });
    expect(first).toContain("01.after.webp: it is a second output of 01.before.png");
    expect(first).toContain("02.before.png: it has no output picture beside it");
    expect(first.join()).toContain(
      "04.before: reading image of the record: expected a PNG, JPEG or WebP image",
    );
  });

  it.each([
    [
      "nothing but broken pictures",
      { "a.before.png": "no", "a.after.png": "no" },
      /got none of 1, 1 broken; the first: a.before/,
    ],
    ["no pairs", { "a.png": red, "b.png": green }, /expected image pairs .* got a.png, b.png/],
    ["an empty folder", {}, /expected image pairs .* got no files/],
  ])("refuses %s", async (_, files: Files, message) => {
    const work = loadPairs(await writeFiles(files), { size: 8 });
    await expect(work).rejects.toThrow(message);
    await expect(work).rejects.toBeInstanceOf(XPromptError);
  });

  it("refuses a set that does not fit in memory, invalid settings, and a missing path", async () => {
    const folder = await writeFiles(manyPairs(3));
    await expect(loadPairs(folder, { size: 4096 })).rejects.toThrow(
      "expected at most 2 of 4096 × 4096 pixels, got 3",
    );
    await expect(loadPairs(folder, { size: 0 })).rejects.toThrow(
      "size: expected a whole number from 1, got 0",
    );
    await expect(openPairs({ path: folder, heldOut: 2 })).rejects.toThrow("opening a data set: heldOut: ");
    await expect(openPairs({ path: folder, heldOt: 0.1 } as never)).rejects.toThrow(
      "opening a data set: heldOt: no such setting (did you mean heldOut?)",
    );
    await expect(openPairs({ path: join(folder, "none") })).rejects.toThrow("expected it to exist");
    await expect(openPairs({ path: folder, columns: { task: "kind" } })).rejects.toThrow(
      'expected a column "kind" (columns.task), got input, output, folder, instruction',
    );
    await expect(openPairs({ path: folder, format: "parquet" })).rejects.toThrow(
      "expected *.parquet, got 6 files",
    );
    await expect(openPairs({ path: folder, format: "lol" })).rejects.toThrow(
      "expected pairs as lol has them",
    );
  });

  it("holds an output out with all its inputs", async () => {
    const scenes = [1, 2, 3, 4, 5, 6];
    const files = Object.fromEntries(
      scenes.flatMap((scene) => [
        [`ground_truth/${scene}.png`, [scene, 0, 0]],
        ...[1, 2, 3, 4].map((rain) => [`rainy_image/${scene}_${rain}.png`, [0, rain, 0]]),
      ]),
    ) as Files;
    const path = await writeFiles(files);
    const outputs = async (part: "train" | "heldOut") => {
      const { pairs } = await loadPairs(path, { size: 8, format: "rain", split: "all", heldOut: 0.3, part });
      return pairs.map(({ output }) => colorOf(output)![0]!);
    };
    const [train, held] = [await outputs("train"), await outputs("heldOut")];
    expect(train.length + held.length).toBe(24);
    expect(new Set(held).size).toBeGreaterThan(0);
    expect(held.filter((scene) => train.includes(scene))).toEqual([]);
  });

  it("reverses a pair", async () => {
    const { pairs } = await loadPairs(await writeFiles(manyPairs(1)), { size: 8, instruction: "go" });
    const back = reversed(pairs[0]!);
    expect([colorOf(back.input), colorOf(back.output)]).toEqual([
      [0, 255, 0],
      [0, 0, 0],
    ]);
    expect(back).toMatchObject({ reverseInstruction: "go", instruction: undefined });
    expect(back.task).not.toBe(pairs[0]!.task);
  });
});

it("a TIFF file is turned upright", async () => {
  const left = { input: await plainPicture("red.png", [255, 0, 0], 8), left: 0, top: 0 };
  // Orientation 6: the first column is the top of the picture.
  const output = await sharp(await plainPicture("blue.png", [0, 0, 255]))
    .composite([left])
    .withMetadata({ orientation: 6 })
    .tiff()
    .toBuffer();
  const { data } = (await decodePair({ id: "a", task: "t", source: "s", output }, 16)).output;
  const corners = [...data.subarray(0, 3), ...data.subarray(-3 * 16).subarray(0, 3)];
  expect(corners.map(Math.round)).toEqual([1, 0, 0, 0, 0, 1]);
});
