/** @file Changes of photographs, icon tasks, the icon judge, and the two suites with gathered pictures. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { colourFit } from "../../src/evaluation/baselines/index.ts";
import { expertPsnr } from "../../src/evaluation/gathered/expert.ts";
import { stored } from "../../src/evaluation/gathered/expert-figures.ts";
import {
  drawEdit,
  drawStyleTask,
  editablesOf,
  stylePairs,
} from "../../src/evaluation/gathered/icon-tasks.ts";
import { photoChanges } from "../../src/evaluation/gathered/photo-changes.ts";
import { photoQueries } from "../../src/evaluation/gathered/photo-queries.ts";
import { iconPicture, openHeldOut, photographsOf, squareOf } from "../../src/evaluation/gathered/pictures.ts";
import { evaluate, type SuiteOptions, suites } from "../../src/evaluation/index.ts";
import { IconJudge } from "../../src/evaluation/judges/icons.ts";
import { boundedPsnr, psnr } from "../../src/evaluation/metrics/pictures.ts";
import { gaussianBlur, mapValues } from "../../src/image/filters.ts";
import { createImage, type Image, loadImage, resize } from "../../src/image/index.ts";
import { cropName } from "../../src/tasks/gathered/format.ts";
import { Random } from "../../src/tasks/index.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { writeGathered } from "../fixtures/gathered/kit.ts";
import { writeTinyModel } from "../fixtures/xprompt/kit.ts";

let folder = "";
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  folder = await mkdtemp(join(tmpdir(), "xprompt-gathered-"));
  await writeTinyModel(at("tiny"));
  await writeGathered(at("pictures"), { photos: 3, side: 64, icons: 60 });
  await writeGathered(at("two"), { photos: 2, side: 64, icons: 0 });
});
afterAll(() => rm(folder, { recursive: true }));

// biome-ignore lint/suspicious/noExplicitAny: results are looked at as JSON
async function run(name: string, limit: number, options: SuiteOptions): Promise<any> {
  const suite = suites.find((each) => each.name === name)!;
  const { result, summary } = await evaluate(suite, {
    model: at("tiny"),
    limit,
    seed: 3,
    settings: { temperature: 1 },
    options,
    out: options.out,
    command: `xprompt eval ${name}`,
    load: { threads: 1 },
  });
  expect(summary.length).toBeGreaterThanOrEqual(2);
  expect(summary.length).toBeLessThanOrEqual(6);
  expect(summary.join("")).not.toMatch(/undefined|NaN|null/);
  return JSON.parse(JSON.stringify(result));
}

const photograph = (number: number) => {
  const { photos } = openHeldOut(at("pictures"));
  return squareOf(photos[number]!, 64);
};

test("squareOf returns a photograph's central square", () => {
  const { photos } = openHeldOut(at("pictures"));
  const { width, data } = photos[0]!.image;
  const square = squareOf(photos[0]!, 64);
  expect(square).toMatchObject({ width: 64, height: 64 });
  expect(square.data[(5 * 64 + 7) * 3 + 1]).toBeCloseTo(data[(5 * width + 7 + 4) * 3 + 1]! / 255, 6);
});

test("queries of photographs: one per photograph, no crops, and an example of another one", () => {
  const gathered = openHeldOut(at("pictures"));
  // Crops, which would be a second query of a photograph, or an example of the query's own.
  const crops = gathered.photos.flatMap((photo) =>
    [1, 2].map((part) => ({ ...photo, name: cropName(photo.name, part) })),
  );
  const withCrops = { ...gathered, photos: [...gathered.photos, ...crops] };
  const queriesOf = (of: typeof gathered) => photoQueries(of, { size: 64, limit: 9, seed: 3 });
  const [queries, same] = [queriesOf(withCrops), queriesOf(gathered)];
  expect(queries.photographs).toBe(3);
  expect(queries.names.toSorted()).toEqual(gathered.photos.map(({ name }) => name).sort());
  const nothing = photoChanges.find(({ name }) => name === "nothing")!;
  const squares = [0, 1, 2].map((i) => queries.of(nothing, i));
  expect(new Set(squares.map(({ input }) => input.data.join())).size).toBe(3);
  for (const [i, { example, input }] of squares.entries()) {
    expect(example.input.data).not.toEqual(input.data);
    expect(queries.of(nothing, i)).toEqual(same.of(nothing, i));
  }
});

test.each(photoChanges.map((change) => [change.name, change] as const))(
  "%s: keeps the size, stays in range, is deterministic, and changes the picture",
  (_name, { kind, draw }) => {
    const pairOf = (parameters: number) => draw(Random.of(parameters))(photograph(0), Random.of("place"));
    const { input, output } = pairOf(1);
    expect([input.width, output.width]).toEqual([64, 64]);
    for (const { data } of [input, output])
      expect(data.every((value) => value >= 0 && value <= 1)).toBe(true);
    expect(pairOf(1)).toEqual({ input, output });
    const isChanged = psnr(input, output) < 40;
    expect(isChanged).toBe(kind !== "nothing");
  },
);

test("a colour fit explains all tone changes and no change that depends on places", () => {
  const gain = ({ draw }: (typeof photoChanges)[number]) => {
    const changer = draw(Random.of("parameters"));
    const example = changer(photograph(1), Random.of("example"));
    const { input, output } = changer(photograph(0), Random.of("query"));
    return boundedPsnr(colourFit([example], input), output) - boundedPsnr(input, output);
  };
  for (const change of photoChanges.filter(({ kind }) => kind === "tone"))
    expect(gain(change), change.name).toBeGreaterThan(8);
  for (const name of ["blur", "deblur", "addRain", "derain", "mirror", "removeDot"])
    expect(gain(photoChanges.find((change) => change.name === name)!), name).toBeLessThan(3);
});

test("layers are composed on white by their alpha", () => {
  const pixel = (r: number, g: number, b: number, alpha: number) => ({
    image: { width: 1, height: 1, channels: 4, data: Uint8Array.of(r, g, b, alpha) } as const,
  });
  const { data } = iconPicture([pixel(255, 0, 0, 51), pixel(0, 0, 255, 102)], 1);
  // White with one fifth of red, then two fifths of blue.
  for (const [i, value] of [0.6, 0.48, 0.88].entries())
    expect(data[i]! * 255).toBeCloseTo(Math.round(value * 255), 3);
});

test("a style task asks for an icon of the second set among fifty, including the example's", () => {
  const { iconSets } = openHeldOut(at("pictures"));
  const pairs = stylePairs(iconSets, false).get("tiny")!;
  expect(pairs.map(({ from, to }) => [from.style, to.style])).toEqual([
    ["cool", "plain"],
    ["plain", "cool"],
  ]);
  const task = drawStyleTask(pairs[0]!, Random.of(1), 32);
  expect(task.candidates).toHaveLength(50);
  expect(task.candidates[task.answer]).toEqual(task.output);
  expect(task.candidates).toContainEqual(task.example.output);
  expect(new Set(task.candidates.map(({ data }) => data.join())).size).toBe(50);
  expect(stylePairs(iconSets.slice(0, 1), false).size).toBe(0);
});

test("pairs of styles that training never shows are separate, in both directions", () => {
  const { iconSets } = openHeldOut(at("pictures"));
  const named = ["icons-noto", "icons-fluent", "icons-twemoji"].map((name, i) => ({
    ...iconSets[i % 2]!,
    name,
  }));
  const pairsOf = (heldOut: boolean) =>
    stylePairs(named, heldOut)
      .get("tiny")!
      .map(({ from, to }) => `${from.name} ${to.name}`.replaceAll("icons-", ""));
  expect(pairsOf(true)).toEqual(["noto fluent", "fluent noto"]);
  expect(pairsOf(false)).toEqual(["noto twemoji", "fluent twemoji", "twemoji noto", "twemoji fluent"]);
  expect(stylePairs(iconSets, true).size).toBe(0);
});

test("an edit changes the layer of one colour equally in both pairs", () => {
  const { iconSets } = openHeldOut(at("pictures"));
  const editables = editablesOf(iconSets, Random.of("editable"));
  const marks = editables.find(({ color }) => color.join() === "0.2,0.2,0.2")!;
  const colorsOf = ({ data }: { readonly data: Float32Array }) => {
    const colors = Array.from({ length: data.length / 3 }, (_, i) =>
      [...data.subarray(3 * i, 3 * i + 3)].map((v) => v.toFixed(2)).join(),
    );
    return new Set(colors);
  };
  const removed = drawEdit("remove", marks, Random.of(1), 16);
  for (const { input, output } of [removed.example, removed]) {
    expect(colorsOf(input)).toEqual(new Set(["0.20,0.20,0.20", "0.90,0.70,0.20"]));
    expect(colorsOf(output)).toEqual(new Set(["0.90,0.70,0.20"]));
  }
  const recoloured = drawEdit("recolour", marks, Random.of(1), 16);
  for (const { input } of [recoloured.example, recoloured])
    expect(colorsOf(input)).toEqual(new Set(["0.20,0.20,0.20", "0.90,0.70,0.20"]));
  expect(colorsOf(recoloured.output)).toEqual(colorsOf(recoloured.example.output));
  expect(colorsOf(recoloured.output)).not.toContain("0.20,0.20,0.20");
  expect(recoloured.output.data).not.toEqual(recoloured.example.output.data);
});

test("the icon judge recognizes blurred, pale and coarse icons, and accepts a blank picture", () => {
  const { iconSets } = openHeldOut(at("pictures"));
  const [set] = iconSets;
  const pictures = [...set!.icons.values()].slice(0, 50).map((icon) => iconPicture(icon.layers(), 32));
  const judge = new IconJudge(pictures);
  const spoiled = {
    soft: (i: number) => gaussianBlur(pictures[i]!, 2),
    pale: (i: number) => mapValues(pictures[i]!, (value) => 0.7 + 0.25 * value),
    coarse: (i: number) => resize(resize(pictures[i]!, 10, 10, "area"), 32, 32, "nearest"),
  };
  for (const [name, spoil] of Object.entries(spoiled))
    expect(pictures.filter((_, i) => judge.nearest(spoil(i)) === i).length, name).toBeGreaterThan(45);
  const blank = createImage(32, 32, [1, 1, 1]);
  expect(judge.nearest(blank)).toBeGreaterThanOrEqual(0);
});

test("figures of expert models are of the queries that they were computed on, or none", () => {
  const { psnr, ...about } = stored;
  const known = psnr.denoise!;
  const first = { ...about, photographs: about.photographs.slice(0, 2) };
  expect(known).toHaveLength(about.photographs.length);
  expect(expertPsnr("denoise", first)).toEqual(known.slice(0, 2));
  expect(expertPsnr("denoise", { ...about, photographs: [...about.photographs, "another"] })).toEqual([]);
  expect(expertPsnr("denoise", { ...first, photographs: first.photographs.toReversed() })).toEqual([]);
  expect(expertPsnr("denoise", { ...first, seed: about.seed + 1 })).toEqual([]);
  expect(expertPsnr("sepia", first)).toEqual([]);
});

test("photos: all changes; figures agree with the saved pictures", async () => {
  const result = await run("photos", 5, { pictures: at("two"), size: 64, out: at("photos") });
  expect(Object.keys(result.changes)).toHaveLength(18);
  // There are only two photographs.
  expect(result).toMatchObject({ metric: "psnr", photographs: 2, size: 64, n: 2 });
  expect(result.groups).toMatchObject({ tone: { changes: 7 }, place: { changes: 8 }, all: { changes: 15 } });
  expect(result.changes.nothing.psnr.unchanged.mean).toBeCloseTo(54.15, 1);
  expect(result.changes.invert.psnr.colourFit.mean).toBeGreaterThan(40);
  expect(Object.keys(result.changes).filter((name) => result.changes[name].psnr.classical)).toEqual([
    ...["brighten", "deblur", "derain", "removeDot", "denoise", "dehaze"],
  ]);
  // The stored figures belong to other pictures.
  expect(result.changes.derain.psnr.expert).toBeUndefined();
  const tone = Object.values<{ kind: string; psnr: Record<string, { mean: number }> }>(result.changes).filter(
    ({ kind }) => kind === "tone",
  );
  for (const column of ["drawn", "unchanged", "colourFit", "roundTrip"]) {
    const mean = tone.reduce((sum, { psnr }) => sum + psnr[column]!.mean, 0) / 7;
    expect(result.groups.tone.psnr[column].mean).toBeCloseTo(mean, 9);
  }
  const better = tone.filter(({ psnr }) => psnr.drawn!.mean > psnr.unchanged!.mean).length;
  expect(result.groups.tone.changesBetterThanUnchanged.drawn).toBe(better);

  // Enlarged to the measured size. For "nothing" the truth is the photograph itself.
  const [key] = await readdir(at("photos", "drawings"));
  const photographs = photographsOf(openHeldOut(at("two")), 64, "test");
  const order = Random.of(3, "photographs").shuffle(photographs);
  const values = await Promise.all(
    order.map(async (photo, i) => {
      const drawn = await loadImage(at("photos", "drawings", key!, "64", "nothing", `drawn-000${i}.png`));
      expect(drawn.width).toBe(32);
      return psnr(resize(drawn, 64, 64, "bicubic"), squareOf(photo, 64));
    }),
  );
  expect(result.changes.nothing.psnr.drawn.mean).toBeCloseTo((values[0]! + values[1]!) / 2, 9);
});

test("icons: finds the right one among fifty, and measures edits", async () => {
  // With a lossless image tokenizer the judge finds every icon.
  const spy = vi
    .spyOn(XPrompt.prototype, "reconstruct")
    .mockImplementation(async (pictures) => pictures as Image[]);
  const result = await run("icons", 2, { pictures: at("pictures"), out: at("icons") });
  spy.mockRestore();
  expect(Object.keys(result.right)).toEqual(["style"]);
  expect(result.right.style.roundTrip.mean).toBe(1);
  expect(result).toMatchObject({ metric: "right", chance: 0.02, candidates: 50, n: 2 });
  expect(Object.keys(result.right.style)).toEqual(["drawn", "unchanged", "colourFit", "roundTrip"]);
  expect(Object.keys(result.tasks)).toEqual(["style", "recolour", "remove"]);
  for (const { psnr } of Object.values<{ psnr: Record<string, { mean: number }> }>(result.tasks))
    expect(Object.keys(psnr)).toEqual(["drawn", "unchanged", "colourFit", "roundTrip"]);
});

test("icons: held-out pairs of styles are measured as such, and named if the model was trained on them", async () => {
  await mkdir(at("styles"));
  for (const [from, to] of [
    ["icons-plain", "icons-noto"],
    ["icons-cool", "icons-fluent"],
  ])
    for (const end of ["bin", "json"])
      await cp(at("pictures", `${from}.${end}`), at("styles", `${to}.${end}`));
  const ofStyles = () => run("icons", 1, { pictures: at("styles"), out: at("icons of styles") });
  const result = await ofStyles();
  expect(Object.keys(result.right)).toEqual(["unseenStyle"]);
  expect(Object.keys(result.tasks)).toEqual(["unseenStyle", "recolour", "remove"]);
  expect(result.seen).toEqual({ unseenStyle: false });
  const path = at("tiny", "config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  await writeFile(
    path,
    JSON.stringify({ ...config, training: { families: ["iconStyleUnseen"], held_out: [] } }),
  );
  await rm(at("icons of styles"), { recursive: true });
  expect((await ofStyles()).seen).toEqual({ unseenStyle: true });
  expect(await readFile(at("icons of styles", "report.html"), "utf8")).toContain(
    "This model was trained on the held-out pairs of styles.",
  );
  await writeFile(path, JSON.stringify(config));
});

test("small pictures and sets without a second style are refused in one line", async () => {
  await expect(run("photos", 1, { pictures: at("pictures") })).rejects.toThrow(
    /two or more held-out photographs of 256 pixels, got 0 of 3/,
  );
  await expect(run("icons", 1, { pictures: at("two") })).rejects.toThrow(
    /two held-out icon sets of one family/,
  );
  await expect(run("icons", 1, { pictures: at("nowhere") })).rejects.toThrow(/npm run gather -- --out DIR/);
});
