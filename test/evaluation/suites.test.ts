/** @file The other suites on a tiny model: shape and consistency of the figures, data sets from files, example pools. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { colourFit } from "../../src/evaluation/baselines/index.ts";
import { ExamplePool } from "../../src/evaluation/example-pool.ts";
import { type EvaluationOptions, evaluate, type SuiteOptions, suites } from "../../src/evaluation/index.ts";
import { psnr } from "../../src/evaluation/metrics/pictures.ts";
import { sampleOf } from "../../src/evaluation/samples.ts";
import { readTrainingFacts } from "../../src/evaluation/training-facts.ts";
import { type Image, loadImage, rounded, savePng } from "../../src/image/index.ts";
import { openPairs } from "../../src/tasks/datasets/index.ts";
import {
  caption,
  drawScene,
  familyNamed,
  heldOutOfScenes,
  Random,
  renderScene,
} from "../../src/tasks/index.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";
import { depthMap } from "./maps.ts";

let folder = "";
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  folder = await mkdtemp(join(tmpdir(), "xprompt-suites-"));
  await writeTinyModel(at("tiny"));
  const config = JSON.parse(await readFile(at("tiny", "config.json"), "utf8"));
  config.training = { families: ["invert", "recolor", "move", "denoise"] };
  await writeFile(at("tiny", "config.json"), JSON.stringify(config));
});
afterAll(() => rm(folder, { recursive: true }));

const settings = { temperature: 0.7, topK: 0, topP: 0.9, guidance: 2 };

async function run(
  name: string,
  limit: number,
  options: SuiteOptions = {},
  out?: string,
  model = at("tiny"),
  asked: EvaluationOptions["settings"] = settings,
  // biome-ignore lint/suspicious/noExplicitAny: results are looked at as JSON
): Promise<any> {
  const suite = suites.find((each) => each.name === name)!;
  const { result, summary } = await evaluate(suite, {
    model,
    limit,
    seed: 3,
    settings: asked,
    options,
    out,
    command: `xprompt eval ${name}`,
    load: { threads: 1 },
  });
  expect(summary.length).toBeGreaterThan(0);
  expect(summary.length).toBeLessThanOrEqual(6);
  expect(summary.join("")).not.toMatch(/undefined|NaN|null/);
  return JSON.parse(JSON.stringify(result));
}

test("pictures use the model's recommended settings by default", async () => {
  await cp(at("tiny"), at("recommending"), { recursive: true });
  const path = at("recommending", "config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  const guidance = { image: 1.5, examples: 3 };
  config.xprompt.sampling = { temperature: 0.5, top_p: 0.8, guidance, words_alone: { guidance: 6 } };
  await writeFile(path, JSON.stringify(config));
  const settingsOf = async (asked: EvaluationOptions["settings"], model = at("recommending")) =>
    (await run("text-to-image", 1, {}, undefined, model, asked)).settings;
  const recommended = { temperature: 0.5, topK: 0, topP: 0.8, guidance };
  expect(await settingsOf({})).toEqual({ ...recommended, wordsAlone: { ...recommended, guidance: 6 } });
  const asked = { ...recommended, temperature: 0, guidance: 4 };
  expect(await settingsOf({ temperature: 0, guidance: 4 })).toEqual({ ...asked, wordsAlone: asked });
  expect(await settingsOf({}, at("tiny"))).toEqual({ temperature: 1, topK: 0, topP: 1, guidance: 1 });
});

test("seen: measures the trained families with right and wrong example, query alone and baselines", async () => {
  const { families, overall, n, restoration, tokenizer, prototypes, ...shares } = await run(
    "seen",
    2,
    {},
    at("seen"),
  );
  expect(Object.keys(families).sort()).toEqual(["denoise", "invert", "move", "recolor"]);
  expect(n).toBe(2);
  const names = Object.keys(families);
  const meanOf = (condition: string) =>
    names.reduce((sum, name) => sum + families[name].rmse[condition], 0) / names.length;
  for (const condition of ["right", "wrong", "queryAlone", "unchanged", "colourFit", "roundTrip"])
    expect(overall[condition].mean).toBeCloseTo(meanOf(condition), 9);
  const { right, roundTrip, classical } = families.denoise.psnr;
  expect(restoration.psnr.right.mean).toBeCloseTo(right, 9);
  expect(restoration.psnr.classical.mean).toBeCloseTo(classical, 9);
  expect(restoration.belowRoundTrip.mean).toBeCloseTo(roundTrip - right, 9);
  expect(families.invert.rmse.classical).toBeUndefined();
  expect(overall.classical).toBeUndefined();
  expect(prototypes.tone.right.mean).toBeCloseTo(families.invert.rmse.right, 9);

  // Compares the saved pictures with the query and the colour fit of the example.
  const [key] = await readdir(at("seen", "drawings"));
  const better = { Unchanged: 0, ColourFit: 0 };
  for (const name of names)
    for (const i of [0, 1]) {
      const { query, example } = sampleOf(familyNamed(name), 3, i, 32);
      const drawn = await loadImage(at("seen", "drawings", key!, name, `right-000${i}.png`));
      const distance = psnr(drawn, query.output);
      if (distance > psnr(query.input, query.output)) better.Unchanged++;
      if (distance > psnr(colourFit([example(0)], query.input), query.output)) better.ColourFit++;
    }
  expect(shares.betterThanUnchanged.mean).toBeCloseTo(better.Unchanged / 8, 9);
  expect(shares.betterThanColourFit.mean).toBeCloseTo(better.ColourFit / 8, 9);
  expect(families.invert.rmse.colourFit).toBeLessThan(families.invert.rmse.unchanged);
  expect(families.invert.success).toBeUndefined();

  const model = await XPrompt.load(at("tiny"), { threads: 1 });
  const scenes = Array.from({ length: tokenizer.n }, (_, i) =>
    rounded(renderScene(drawScene(Random.of(3, "evaluation", "scene", i)), model.size).image),
  );
  expect(scenes.length).toBeGreaterThanOrEqual(100);
  const reconstructed = await model.reconstruct(scenes);
  const each = reconstructed.map((image, i) => psnr(rounded(image), scenes[i]!));
  expect(tokenizer.psnr.mean).toBeCloseTo(each.reduce((sum, one) => sum + one, 0) / each.length, 4);
  await model.release();
  expect(families.recolor.success.unchanged).toBe(0);
});

test("likelihood: nats per code by family and for captioned scenes", async () => {
  const { families, overall, unseen, textToImage, betterThanQueryAlone, n } = await run("likelihood", 1);
  expect(n).toBe(1);
  expect(Object.keys(families).slice(0, 4).sort()).toEqual(["denoise", "invert", "move", "recolor"]);
  expect(families.derain.right).toBeGreaterThan(0);
  const names = ["invert", "recolor", "move", "denoise"];
  for (const condition of ["right", "wrong", "queryAlone"]) {
    const mean = names.reduce((sum, name) => sum + families[name][condition], 0) / names.length;
    expect(overall[condition].mean).toBeCloseTo(mean, 9);
    // Random weights: close to a uniform distribution over 32 codes.
    for (const each of [overall[condition], unseen[condition], textToImage.noCaption]) {
      expect(each.mean).toBeGreaterThan(1);
      expect(each.mean).toBeLessThan(12);
    }
  }
  expect(overall.queryAloneOverRight.mean).toBeCloseTo(overall.queryAlone.mean - overall.right.mean, 9);
  const better = names.filter((name) => families[name].right < families[name].queryAlone);
  expect(betterThanQueryAlone.mean).toBeCloseTo(better.length / names.length, 9);
  expect(textToImage.right.mean).not.toBe(textToImage.wrong.mean);

  await using model = await XPrompt.load(at("tiny"), { threads: 1 });
  const meanOf = (nats: readonly number[]) => nats.reduce((sum, each) => sum + each, 0) / nats.length;
  const { query, example } = sampleOf(familyNamed("invert"), 3, 0, model.size);
  const asked = { input: query.input, output: query.output };
  const prompt = await model.compress([{ input: example(0).input, output: example(0).output }]);
  expect(families.invert.right).toBeCloseTo(meanOf(await model.score({ prompt, ...asked })), 9);
  expect(families.invert.queryAlone).toBeCloseTo(meanOf(await model.score(asked)), 9);
  const ofScenes: number[] = [];
  for (let i = 0; i < 16; i++) {
    const random = Random.of(3, "captioned scene", i);
    const scene = drawScene(random);
    const output = rounded(renderScene(scene, model.size).image);
    ofScenes.push(meanOf(await model.score({ instruction: caption(scene, random), output })));
  }
  expect(textToImage.right.mean).toBeCloseTo(meanOf(ofScenes), 9);
});

test("describe: true descriptions are right, others are not, and chance lies between", async () => {
  const names = ["invert", "recolor", "move", "denoise"];
  const truths = new Map<string, string>();
  for (const name of [...names, ...heldOutOfScenes])
    for (let i = 0; i < 2; i++) {
      const { query } = sampleOf(familyNamed(name), 3, i, 32);
      truths.set(query.output.data.join(), query.difference);
    }
  const describe = vi.spyOn(XPrompt.prototype, "describe");
  onTestFinished(() => describe.mockRestore());
  describe.mockImplementation(async (pair) => truths.get((pair as { output: Image }).output.data.join())!);
  const told = await run("describe", 2);
  for (const name of names)
    for (const aspect of ["object", "attribute", "relation"])
      expect(told.families[name][aspect]?.share ?? 1, `${name}, ${aspect}`).toBe(1);
  expect(told.overall.kind).toMatchObject({ share: 1, n: 8 });
  expect(told.chance.kind.share).toBeLessThan(0.5);
  // The words of another pair of the same family, where they differ.
  expect(told.chance.attribute.share).toBeLessThan(1);
  describe.mockResolvedValue("nothing to say");
  const wrong = await run("describe", 2);
  expect(wrong.overall).toMatchObject({ attribute: { share: 0 }, relation: { share: 0 } });
});

test("a suite of trained tasks refuses a model that was trained on none", async () => {
  await cp(at("tiny"), at("pairs alone"), { recursive: true });
  const path = at("pairs alone", "config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  await writeFile(path, JSON.stringify({ ...config, training: { families: [] } }));
  for (const suite of ["seen", "likelihood", "compression"])
    await expect(run(suite, 1, {}, undefined, at("pairs alone"))).rejects.toThrow(
      `eval ${suite}: expected a model trained on task families, got one without`,
    );
});

test("editing: measures scene edits with a pool of examples", async () => {
  const result = await run("editing", 1);
  expect(Object.keys(result.families).sort()).toEqual(["move", "recolor"]);
  const ways = ["wordsAlone", "random", "retrieved", "byWords", "byPicture"];
  expect(Object.keys(result.overall)).toEqual([...ways, "unchanged", "colourFit", "roundTrip"]);
  expect(result.overall.unchanged.success.mean).toBe(0);
  expect(result.overall.unchanged.psnr.mean).toBeGreaterThan(0);
  expect(result).toMatchObject({ metric: "success", pool: 128, n: 2, sameFamily: { byWords: 1 } });
});

test("compression: slots and bytes grow by S per example", async () => {
  const { examples, xpTokens, ratio, baselines } = await run("compression", 1);
  expect(Object.keys(baselines).sort()).toEqual(
    ["colourFit", "colourFit2", "colourFit4", "colourFit8", "roundTrip", "unchanged"].sort(),
  );
  expect(xpTokens).toBe(3);
  for (const count of [1, 2, 4, 8]) {
    expect(examples[count].slots).toBe(3 * count);
    expect(examples[count].bytes).toBe(count * examples[1].bytes);
    // <s>, two pictures of 16 codes with begin and end.
    expect(examples[count].slotsUncompressed).toBe(count * 37);
    expect(examples[count].milliseconds).toBeGreaterThan(0);
  }
  expect(ratio).toBeCloseTo(37 / 3, 9);
});

test("compression: stores models with another S or mask, and lists them by slots", async () => {
  const beside = { as: "sweep", beside: at("tiny") };
  const config = JSON.parse(await readFile(at("tiny", "config.json"), "utf8"));
  const measured = [];
  for (const xprompt of [{ mask: "causal" }, { tokens: 2 }]) {
    const other = at(JSON.stringify(xprompt));
    await cp(at("tiny"), other, { recursive: true });
    const changed = { ...config, xprompt: { ...config.xprompt, ...xprompt } };
    await writeFile(join(other, "config.json"), JSON.stringify(changed));
    measured.push(await run("compression", 1, { ...beside, recipe: "recipes/other.ts" }, undefined, other));
  }
  const { sweep, examples } = await run("compression", 1, {}, at("compressed"));
  // biome-ignore lint/suspicious/noExplicitAny: results are looked at as JSON
  expect(sweep.map((each: any) => [each.mask, each.xpTokens, each.examples[1].slots])).toEqual([
    ["xprompt", 2, 2],
    ["causal", 3, 40],
  ]);
  expect(sweep[1]).toMatchObject({ stored: true, recipe: "recipes/other.ts", seed: 3, n: 1 });
  expect(sweep[1].examples).toEqual(measured[0].examples);
  expect(measured.map(({ as }) => as)).toEqual(["causal", "xp-2"]);
  expect(await readFile(at("compressed", "report.html"), "utf8")).toContain("Slots per example");

  // Nats per code of the truth, according to `model.score`.
  const model = await XPrompt.load(at("tiny"), { threads: 1 });
  const family = Random.of(3, "compression", 0).pick((await readTrainingFacts(at("tiny"))).families);
  const { query, example } = sampleOf(family, 3, 0, model.size);
  const { input, output } = example(0);
  const prompt = await model.compress([{ input, output }]);
  const nats = await model.score({ prompt, input: query.input, output: query.output });
  expect(examples[1].nats).toBeCloseTo(nats.reduce((sum, each) => sum + each, 0) / nats.length, 9);
  await model.release();
});

test("text to image: the mean of six kinds", async () => {
  // With a lossless image tokenizer, the ceiling is the judge's accuracy on true scenes.
  const spy = vi
    .spyOn(XPrompt.prototype, "reconstruct")
    .mockImplementation(async (pictures) => pictures as Image[]);
  const { overall, ceiling, categories } = await run("text-to-image", 2);
  spy.mockRestore();
  const found = Object.values<{ mean: number; ceiling: number }>(categories);
  expect(found).toHaveLength(6);
  const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / 6;
  expect(overall).toBeCloseTo(meanOf(found.map(({ mean }) => mean)), 9);
  expect(ceiling).toBeCloseTo(meanOf(found.map((each) => each.ceiling)), 9);
  expect(ceiling).toBeGreaterThan(0.4);
});

test("geneval: writes GenEval's folders and copies its lines", async () => {
  const lines = ["red apple", "two dogs"].map((prompt, i) =>
    JSON.stringify({ tag: `kind${i}`, include: [], prompt }),
  );
  await writeFile(at("prompts.jsonl"), `${lines.join("\n")}\n`);
  const result = await run("geneval", 553, { data: at("prompts.jsonl"), out: at("geneval") }, at("geneval"));
  expect(result).toMatchObject({ prompts: 2, samples: 4, tags: { kind0: 1, kind1: 1 } });
  for (const [i, line] of lines.entries()) {
    expect(await readFile(at("geneval", "images", `0000${i}`, "metadata.jsonl"), "utf8")).toBe(`${line}\n`);
    const samples = await readdir(at("geneval", "images", `0000${i}`, "samples"));
    expect(samples.sort()).toEqual(["0000.png", "0001.png", "0002.png", "0003.png"]);
  }
  await expect(run("geneval", 1, { data: at("prompts.jsonl"), out: at("geneval") })).rejects.toThrow(
    /at most 1 prompts in .*, found pictures of 1 more/,
  );
  await writeFile(at("broken.jsonl"), `${lines[0]}\n{"tag": 1}\n`);
  await expect(run("geneval", 1, { data: at("broken.jsonl"), out: at("geneval") })).rejects.toThrow(
    /in line 2/,
  );
});

test("a data set on disk is measured on its test split, with training examples", async () => {
  for (const [split, count] of [
    ["our485", 3],
    ["eval15", 2],
  ] as const)
    for (let i = 0; i < count; i++)
      for (const side of ["low", "high"]) {
        await mkdir(at("lol", split, side), { recursive: true });
        await savePng(at("lol", split, side, `${i}.png`), somePicture(`${split} ${side} ${i}`));
      }
  const { conditions, n } = await run("lol", 5, { data: at("lol") }, at("out"));
  expect(n).toBe(2);
  const free = ["unchanged", "colourFit", "classical", "roundTrip"];
  expect(Object.keys(conditions)).toEqual([...free, "wordsAlone", "random"]);
  const pictures = await Promise.all(
    [0, 1].map(async (i) => [
      await loadImage(at("lol", "eval15", "low", `${i}.png`)),
      await loadImage(at("lol", "eval15", "high", `${i}.png`)),
    ]),
  );
  const unchanged = pictures.map(([low, high]) => psnr(low!, high!));
  expect(conditions.unchanged.psnr.mean).toBeCloseTo((unchanged[0]! + unchanged[1]!) / 2, 6);
  const [key] = await readdir(at("out", "drawings"));
  const drawn = await Promise.all(
    [0, 1].map((i) => loadImage(at("out", "drawings", key!, "random", `000${i}.png`))),
  );
  // The records are measured in an order that follows from the seed.
  const set = await openPairs({ path: at("lol"), format: "lol", split: "test", seed: 3 });
  const order: number[] = [];
  for await (const { id } of set.stream({ size: 32, epochs: 1 })) order.push(Number(/\d$/.exec(id)![0]));
  const distances = drawn.map((image, i) => psnr(image, pictures[order[i]!]![1]!));
  expect(conditions.random.psnr.mean).toBeCloseTo((distances[0]! + distances[1]!) / 2, 6);
});

test("nyuv2: uses the stored metres; pictures without any are counted and excluded", async () => {
  await mkdir(at("nyu", "nyu2_test"), { recursive: true });
  for (const [i, millimetres] of [300, 2000, 0].entries()) {
    await savePng(at("nyu", "nyu2_test", `0000${i}_colors.png`), somePicture(`colours ${i}`));
    await writeFile(at("nyu", "nyu2_test", `0000${i}_depth.png`), depthMap(millimetres));
  }
  const { conditions, n, unjudged } = await run("nyuv2", 5, { data: at("nyu") });
  expect({ n, unjudged }).toEqual({ n: 3, unjudged: 1 });
  const columns = ["unchanged", "colourFit", "roundTrip", "wordsAlone", "random"];
  expect(Object.keys(conditions)).toEqual(columns);
  // Colours start at 0.7 m, but the true depth of the first map is smaller.
  for (const { rmse } of Object.values<{ rmse: { mean: number } }>(conditions))
    expect(rmse.mean).toBeGreaterThan(0.2);
});

test("a data set of broken pictures is refused with the reason", async () => {
  for (const split of ["our485", "eval15"])
    for (const side of ["low", "high"]) {
      await mkdir(at("broken lol", split, side), { recursive: true });
      await writeFile(at("broken lol", split, side, "0.png"), "no picture");
    }
  await expect(run("lol", 1, { data: at("broken lol") })).rejects.toThrow(/our485\/low\/0: .*expected a PNG/);
});

test("a folder without the data set is refused in one line", async () => {
  await mkdir(at("empty"));
  await expect(run("lol", 1, { data: at("empty") })).rejects.toThrow(/data set/);
  await cp(at("lol", "our485"), at("training alone", "our485"), { recursive: true });
  await expect(run("lol", 1, { data: at("training alone") })).rejects.toThrow(/split "test".*got train/);
});

test("an example pool finds the nearest by words, by picture, and among accepted examples", async () => {
  const model = await XPrompt.load(at("tiny"));
  const instructions = ["make the red objects blue", "turn day into night", "remove the cubes"];
  const shown = instructions.map((instruction) => ({
    input: somePicture(`${instruction} before`),
    output: somePicture(`${instruction} after`),
    instruction,
  }));
  const pool = await ExamplePool.open(model, shown);
  const wanted = { instruction: "take the cubes away", input: shown[1]!.input };
  expect(await pool.nearest(wanted, "byWords")).toBe(shown[2]);
  expect(await pool.nearest(wanted, "byPicture")).toBe(shown[1]);
  expect(await pool.nearest({ ...wanted, instruction: instructions[0] }, "retrieved")).toBe(shown[0]);
  expect(await pool.nearest(wanted, "byPicture", (example) => example === shown[0])).toBe(shown[0]);
  expect(await pool.nearest({ ...wanted, instruction: "xyz" }, "byWords")).toBeUndefined();
  await pool.close();
  await model.release();
});
