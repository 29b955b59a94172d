/** @file The suite of unseen tasks on a tiny model: figures against the saved pictures, resuming, stored figures. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { writeAdapterFolder } from "../../src/chameleon/checkpoint/adapter-folder.ts";
import { weightsChecksum } from "../../src/chameleon/checkpoint/folder.ts";
import { type EvaluationOptions, evaluate, suites } from "../../src/evaluation/index.ts";
import { psnr, rmse } from "../../src/evaluation/metrics/pictures.ts";
import { sampleOf } from "../../src/evaluation/samples.ts";
import { loadImage } from "../../src/image/index.ts";
import { familyNamed } from "../../src/tasks/index.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { tiny } from "../fixtures/chameleon/kit.ts";
import { writeTinyModel } from "../fixtures/xprompt/kit.ts";

const unseen = suites.find(({ name }) => name === "unseen")!;
const names = ["derain", "lowLight", "addObject", "removeObject", "depthPalette"];

let folder = "";
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  folder = await mkdtemp(join(tmpdir(), "xprompt-unseen-"));
  await writeTinyModel(at("tiny"));
  await writeTinyModel(at("other"), 2);
});
afterAll(() => rm(folder, { recursive: true }));

const settings = { temperature: 0.7, topK: 0, topP: 0.9, guidance: 2 };
const options = (more: Partial<EvaluationOptions> = {}): EvaluationOptions => ({
  model: at("tiny"),
  limit: 2,
  seed: 5,
  settings,
  options: {},
  command: "xprompt eval unseen",
  load: { threads: 1 },
  ...more,
});

// biome-ignore lint/suspicious/noExplicitAny: results are looked at as JSON
const run = async (more: Partial<EvaluationOptions> = {}): Promise<any> =>
  JSON.parse(JSON.stringify((await evaluate(unseen, options(more))).result));

test("figures agree with the saved pictures; resumes after an interruption; reads stored figures", async () => {
  const result = await run({ out: at("out") });
  expect(Object.keys(result.tasks)).toEqual(names);
  for (const figures of Object.values(result.tasks))
    expect(Object.keys(figures as object)).toEqual(
      expect.arrayContaining([
        ...["metric", "full", "wordsAlone", "queryAlone", "causal", "xprompt", "wrongExample", "gapClosure"],
        ...["ci", "ssim", "examples", "n", "unchanged", "colourFit", "classical", "roundTrip"],
        ...["colourFits", "betterThanUnchanged", "betterThanColourFit"],
      ]),
    );
  expect(result.tasks.derain).toMatchObject({
    metric: "psnr",
    full: null,
    causal: null,
    gapClosure: null,
    n: 2,
  });
  expect(result.tasks.addObject.metric).toBe("success");
  expect(result.tasks.depthPalette.metric).toBe("rmse");
  expect(result.comparison).toEqual({ full: null, causal: null });

  const [key] = await readdir(at("out", "drawings"));
  const drawing = (name: string) => at("out", "drawings", key!, `${name}.png`);
  const truth = (family: string, index: number) => sampleOf(familyNamed(family), 5, index, 32).query;
  const [first, second] = [
    await loadImage(drawing("derain/wordsAlone-0000")),
    await loadImage(drawing("derain/wordsAlone-0001")),
  ];
  expect(result.tasks.derain.wordsAlone).toBeCloseTo(
    (psnr(first, truth("derain", 0).output) + psnr(second, truth("derain", 1).output)) / 2,
    9,
  );
  const depth = await Promise.all(
    [0, 1].map((i) => loadImage(drawing(`depthPalette/eightExamples-000${i}`))),
  );
  expect(result.tasks.depthPalette.examples["8"]).toBeCloseTo(
    depth.reduce((sum, image, i) => sum + rmse(image, truth("depthUnseenPalette", i).output), 0) / 2,
    9,
  );
  expect(result.tasks.lowLight.examples["1"]).toBe(result.tasks.lowLight.xprompt);

  // Missing and damaged pictures are generated again; the others come from the cache.
  await rm(drawing("derain/wordsAlone-0000"));
  await writeFile(drawing("derain/wordsAlone-0001"), "damaged");
  const generate = vi.spyOn(XPrompt.prototype, "generate");
  expect(await run({ out: at("out") })).toEqual(result);
  expect(generate).toHaveBeenCalledTimes(2);
  generate.mockRestore();

  expect(result.tasks.derain.fullIsUpperBound).toBeNull();
  expect(result.tasks.addObject.classical).toBeNull();
  const html = await readFile(at("out", "report.html"), "utf8");
  expect(html).toMatch(/data:image\/png;base64/);
  expect(html).not.toMatch(/https?:/);
  expect((await readdir(at("out", "sheets"))).length).toBe(5);
  expect(JSON.parse(await readFile(at("out", "results.json"), "utf8"))).toEqual(result);

  // Stored figures of a comparison model, which is far better at one of the tasks.
  const as = { as: "full", recipe: "recipes/full.ts", beside: at("tiny") } as const;
  const stored = await run({ model: at("other"), options: as, command: "xprompt eval unseen --as full" });
  expect(stored.tasks.derain.n).toBe(2);
  const path = at("tiny", "evaluation", "unseen-comparison.json");
  const file = JSON.parse(await readFile(path, "utf8"));
  file.full.tasks.derain.means.psnr = 50;
  file.full.tasks.derain.values.psnr = [50, 50];
  await writeFile(path, JSON.stringify(file));
  const compared = await run({ out: at("out") });
  expect(compared.comparison).toMatchObject({
    full: {
      stored: true,
      sameSamples: true,
      sameModel: true,
      recipe: "recipes/full.ts",
      command: "xprompt eval unseen --as full",
      seed: 5,
    },
    causal: null,
  });
  const { derain } = compared.tasks;
  expect(derain).toMatchObject({ full: 50, seen: false });
  expect(derain.gapClosure).toBeCloseTo((derain.xprompt - derain.wordsAlone) / (50 - derain.wordsAlone), 9);
  for (const name of names.slice(1)) {
    const { full, wordsAlone, gapClosure, metric, examples, fullIsUpperBound } = compared.tasks[name];
    expect(full).toBe(stored.tasks[name].means[metric]);
    const values: number[] = stored.tasks[name].values[metric];
    expect(full).toBeCloseTo((values[0]! + values[1]!) / 2, 9);
    const isBetter = (a: number, b: number) => (metric === "rmse" ? a < b : a > b);
    if (!isBetter(full, wordsAlone)) expect(gapClosure).toBeNull();
    const { colourFits, classical } = compared.tasks[name];
    const rivals: number[] = [
      ...Object.values(examples),
      ...Object.values(colourFits),
      classical ?? [],
    ].flat() as number[];
    expect(fullIsUpperBound).toBe(!rivals.some((each) => isBetter(each, full)));
  }
  await writeFile(path, JSON.stringify({ full: { ...file.full, comparedWith: "another" } }));
  const { comparison } = await run({ limit: 1, out: at("one") });
  expect(comparison.full).toMatchObject({ stored: true, sameSamples: false, sameModel: false });
  expect(await readFile(at("one", "report.html"), "utf8")).toContain("full was made for an earlier version");

  // The same model, if it was trained on that task and on one that shows another, and has an adapter.
  Object.assign(file.full.tasks.removeObject, { means: { success: -1 }, values: { success: [-1, -1] } });
  await writeFile(path, JSON.stringify(file));
  await cp(at("tiny"), at("taught"), { recursive: true });
  const config = JSON.parse(await readFile(at("taught", "config.json"), "utf8"));
  const training = { families: ["invert", "derain", "removeColor"], held_out: [] };
  await writeFile(at("taught", "config.json"), JSON.stringify({ ...config, training }));
  const rows = {
    dtype: "float32",
    shape: [1, tiny.hiddenSize],
    data: new Float32Array(tiny.hiddenSize),
  } as const;
  const weights = new Map([["model.embed_tokens.token_adapter.trainable_tokens_delta", rows]]);
  const base = { name: "taught", checksum: await weightsChecksum(at("taught"), undefined) };
  await writeAdapterFolder(at("adapter"), { config: { embeddingTokens: [0] }, weights }, base);
  const load = { threads: 1, adapter: at("adapter") };
  const taught = await evaluate(unseen, options({ model: at("taught"), limit: 1, load, out: at("adapted") }));
  expect(taught.result.tasks).toMatchObject({
    derain: { seen: true, full: 50, gapClosure: null, ci: { gapClosure: null } },
    lowLight: { seen: null },
    removeObject: { seen: true, gapClosure: null, fullIsUpperBound: false },
  });
  const report = await readFile(at("adapted", "report.html"), "utf8");
  expect(report).toContain(`with adapter ${at("adapter")} (its training tasks are not known)`);
  expect(report).toContain("The model was trained on derain, removeObject.");
  expect(report).not.toMatch(/no upper bound on [^:]*removeObject/);
  expect(taught.summary[0]).toMatch(/^derain, .*; the model was trained on it$/);
});
