import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { openGathered } from "../../../src/tasks/gathered/index.ts";
import { dot, ground, writeCutouts, writeIcons, writePackFiles, writePhotos } from "./folder.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gathered-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The message of the error that opening the folder throws. */
function complaint(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    expect(error).toBeInstanceOf(XPromptError);
    return (error as Error).message;
  }
  throw new Error("expected an error");
}

describe("contents of a folder", () => {
  test("photos of one split, as RGB bytes", async () => {
    await writePhotos(folder);
    const { photos } = openGathered(folder, "train");
    expect(photos.map(({ name, words }) => [name, words])).toEqual([["a/red", "red"]]);
    expect(photos[0]!.image).toMatchObject({ width: 2, height: 1, channels: 3 });
    expect([...photos[0]!.image.data]).toEqual([255, 0, 0, 200, 0, 0]);
    const held = openGathered(folder, "heldOut").photos;
    expect([...held[0]!.image.data]).toEqual([0, 0, 255, 0, 0, 200]);
  });

  test("icons with their layers, bottom first", async () => {
    await writeIcons(folder);
    const [set] = openGathered(folder, "train").iconSets;
    expect(set).toMatchObject({ name: "icons-tiny", style: "flat emoji", family: "emoji", size: 2 });
    const layers = set!.icons.get("meadow")!.layers();
    expect(layers.map(({ image }) => [...image.data])).toEqual([[...ground], [...dot]]);
    expect(layers.map(({ color }) => color)).toEqual([[0, 128 / 255, 0], undefined]);
    expect(openGathered(folder, "heldOut").iconSets).toEqual([]);
  });

  test("cut-outs with alpha", async () => {
    await writeCutouts(folder);
    const [cutout] = openGathered(folder, "heldOut").cutouts;
    expect(cutout).toMatchObject({ name: "dot", words: "a dot" });
    expect(cutout!.image).toMatchObject({ width: 2, height: 2, channels: 4 });
    expect([...cutout!.image.data]).toEqual([...dot]);
  });

  test("a set that was not gathered is empty", async () => {
    await writePhotos(folder);
    const { iconSets, cutouts } = openGathered(folder, "train");
    expect([iconSets, cutouts]).toEqual([[], []]);
  });

  test("the list of sources is not a pack", async () => {
    await writePhotos(folder);
    await writeFile(join(folder, "sources.json"), "{}");
    expect(openGathered(folder, "train").photos).toHaveLength(1);
  });

  test("the digest changes with any index, and not with the split", async () => {
    await writePhotos(folder);
    const before = openGathered(folder, "train").digest;
    expect(openGathered(folder, "heldOut").digest).toBe(before);
    await writeIcons(folder);
    expect(openGathered(folder, "train").digest).not.toBe(before);
  });
});

describe("unreadable folders", () => {
  test("a folder that is missing, or has no packs", () => {
    expect(complaint(() => openGathered(join(folder, "nowhere"), "train"))).toMatch(
      /expected a folder, got .*npm run gather/,
    );
    expect(complaint(() => openGathered(folder, "train"))).toMatch(/expected packs of pictures/);
  });

  test("a folder of something else", async () => {
    await writeFile(join(folder, "package.json"), '{"name": "x"}');
    expect(complaint(() => openGathered(folder, "train"))).toMatch(
      /package\.json: expected the index of a pack/,
    );
  });

  test("a pack without its bytes, with too few, or with others", async () => {
    await writePhotos(folder);
    const bytes = await readFile(join(folder, "photos-tiny.bin"));
    await writeFile(
      join(folder, "photos-tiny.bin"),
      bytes.map((byte) => byte ^ 1),
    );
    expect(complaint(() => openGathered(folder, "train"))).toMatch(
      /photos-tiny\.bin: expected the checksum in photos-tiny\.json, got another .*gather/,
    );
    await writeFile(join(folder, "photos-tiny.bin"), bytes.subarray(0, 5));
    expect(complaint(() => openGathered(folder, "train"))).toMatch(/expected 12 bytes, got 5 .*gather/);
    await rm(join(folder, "photos-tiny.bin"));
    expect(complaint(() => openGathered(folder, "train"))).toMatch(
      /photos-tiny\.bin: expected a readable file/,
    );
  });

  test("an index that points outside its bytes", async () => {
    const item = { name: "far", words: "", split: "train", width: 2, height: 2, offset: 1 };
    await writePackFiles(folder, "photos-far", new Uint8Array(12), { kind: "photos", items: [item] });
    expect(complaint(() => openGathered(folder, "train"))).toMatch(
      /expected far within 12 bytes, got it at 1 to 13/,
    );
  });

  test("bytes that do not decode, or to another size", async () => {
    const layer = { offset: 0, length: 4 };
    const items = [{ name: "broken", words: "", split: "train", layers: [layer] }];
    const icons = { kind: "icons", style: "s", family: "f", size: 2, items };
    await writePackFiles(folder, "icons-broken", Uint8Array.from([255, 255, 255, 255]), icons);
    const [set] = openGathered(folder, "train").iconSets;
    expect(complaint(() => set!.icons.get("broken")!.layers())).toMatch(
      /icons-broken: broken: expected deflated bytes/,
    );

    await writeIcons(folder);
    const index = JSON.parse(await readFile(join(folder, "icons-tiny.json"), "utf8"));
    await writeFile(join(folder, "icons-tiny.json"), JSON.stringify({ ...index, size: 4 }));
    const larger = openGathered(folder, "train").iconSets.find(({ name }) => name === "icons-tiny");
    expect(complaint(() => larger!.icons.get("meadow")!.layers())).toMatch(/expected 64 bytes, got 16/);
  });
});
