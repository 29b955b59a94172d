/** @file Recipes with settings that are valid one by one, but inconsistent. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CODEBOOK } from "../../src/chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../src/errors.ts";
import { readTrainingFacts } from "../../src/evaluation/training-facts.ts";
import { prepareTask, tokenizerRecipe, transformerRecipe } from "../../src/training/index.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/training/run/checkpoint.ts";
import { writeTinyTokenizers } from "../fixtures/chameleon/kit.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-prepare-"));
  await writeTinyTokenizers(join(folder, "tokenizers"));
});
afterAll(() => rm(folder, { recursive: true }));

const required = { steps: 1, optimizer: {}, schedule: {}, loss: {} };
const refusal = async (recipe: Parameters<typeof prepareTask>[0]): Promise<string> => {
  const refused = prepareTask(recipe);
  await expect(refused).rejects.toThrow(XPromptError);
  return refused.catch(({ message }: XPromptError) => message) as Promise<string>;
};

test.each([
  [{ resolution: 36 }, "model.resolution: expected a multiple of 8, for 4 levels, got 36"],
  [{ baseChannels: 12 }, "model.baseChannels: expected a multiple of the 8 normGroups, got 12"],
])("a tokenizer with %j", async (model, message) => {
  expect(await refusal(tokenizerRecipe({ ...required, model }))).toBe(`tokenizer recipe: ${message}`);
});

test("a codebook of patches with fewer cells than codes", async () => {
  const model = { resolution: 16, channelMultiplier: [1, 1, 1], codes: 64, patches: true };
  const recipe = tokenizerRecipe({ ...required, batch: 2, model, kMeans: { pictures: 1 } });
  expect(await refusal(recipe)).toBe(
    "tokenizer recipe: kMeans.pictures: expected at least 4, for 64 codes of pictures with 16 cells, got 1",
  );
});

test("a codebook of patches is in the checkpoint: another processor may compute other bits", async () => {
  const model = { resolution: 16, channelMultiplier: [1, 1, 1], codes: 16, patches: true };
  const recipe = tokenizerRecipe({ ...required, batch: 2, threads: 1, model, kMeans: { pictures: 2 } });
  const run = join(folder, "patches");
  await mkdir(run);
  const codebooks = [];
  for (const rounding of [0, 1e-6]) {
    const task = await prepareTask(recipe);
    const { data } = task.state.frozen!.weights.get(CODEBOOK)!;
    for (let i = 0; i < data.length; i++) data[i]! += rounding;
    const { state, extras, inputs } = task;
    if (rounding === 0) await saveCheckpoint(run, state, extras, task.recipe, inputs);
    else await loadCheckpoint(run, state, extras, task.recipe, inputs);
    codebooks.push(data);
    await task.close();
  }
  expect(codebooks[1]).toEqual(codebooks[0]);
});

test("a decoder run needs the model whose codes it decodes", async () => {
  const recipe = tokenizerRecipe({ ...required, model: {}, train: "decoder" });
  expect(await refusal(recipe)).toContain("expected init to name the model whose codebook stays frozen");
});

test.each([
  [
    { model: { hiddenSize: 20, heads: 4 } },
    "model.hiddenSize: expected a multiple of 8, for 4 heads of even width, got 20",
  ],
  // Without this check, TODO parts would attend beyond the XP tokens into the example.
  [{ xprompt: { tokens: 4 } }, "xprompt.tokens: expected at most the 3 XP tokens of"],
  [
    { mix: { families: ["rain", "haze"], heldOutPrototypes: ["low-level" as const] } },
    "mix.heldOut: expected at least one family",
  ],
  [{ mix: { families: ["rain"], heldOut: ["rain"] } }, "mix.heldOut: expected at least one family"],
  [
    { mix: { families: ["rain", "haze"], weights: { rain: 0, haze: 0 } } },
    "mix.weights: expected a weight above 0",
  ],
])("a transformer with %j", async (change, message) => {
  const tokenizers = join(folder, "tokenizers");
  const recipe = transformerRecipe({ ...required, tokenizers, model: {}, xprompt: { tokens: 3 }, ...change });
  expect(await refusal(recipe)).toContain(`transformer recipe: ${message}`);
});

test("a recipe that requires pairs is refused without any", async () => {
  const recipe = transformerRecipe({ ...required, mix: { pairsRequired: true } });
  expect(await refusal(recipe)).toContain("expected folders or files of pairs to train on, got none");
});

test("missing settings have their defaults in every group", () => {
  const transformer = transformerRecipe({ steps: 3, optimizer: { learningRate: 2e-3 } });
  expect(transformer).toMatchObject({
    optimizer: { learningRate: 2e-3, matrices: "adamw" },
    schedule: { shape: "cosine" },
  });
  expect(transformerRecipe({ steps: 3 }).optimizer.learningRate).toBe(1e-3);
  expect(tokenizerRecipe({ steps: 3 })).toMatchObject({ loss: { squared: 1 }, optimizer: { beta1: 0.9 } });
});

test("held-out measurements do not depend on the training mix", async () => {
  const measured = [];
  for (const share of [0, 1]) {
    const task = await prepareTask(
      transformerRecipe({
        ...{ steps: 1, contexts: 2, todos: 1, workers: 0, threads: 1, heldOutBatches: 1 },
        ...{ tokenizers: join(folder, "tokenizers"), model: { layers: 1 }, xprompt: { tokens: 3 } },
        mix: {
          families: ["invert", "rain"],
          ...{ exampleInstruction: share, todoInstruction: share, withoutExample: share, tokenNoise: share },
        },
      }),
    );
    measured.push(await task.evaluate());
    await task.close();
  }
  expect(measured[1]).toEqual(measured[0]);
});

test.each([
  ["neither", {}, {}, [1]],
  [
    "scheduled sampling from a share of the run on",
    { scheduledSampling: 0.5, scheduledSamplingFrom: 0.6 },
    {},
    [1, 0.6],
  ],
  ["an average of its last weights", {}, { averageFrom: 0.9 }, [0.9]],
])("the phases of a run with %s", async (_, mix, more, phases) => {
  const task = await prepareTask(
    transformerRecipe({
      ...{
        steps: 1,
        contexts: 2,
        todos: 1,
        workers: 0,
        threads: 1,
        heldOutBatches: 1,
        averageFrom: 1,
        ...more,
      },
      ...{ tokenizers: join(folder, "tokenizers"), model: { layers: 1 }, xprompt: { tokens: 3 } },
      mix: { families: ["invert", "rain"], ...mix },
    }),
  );
  await task.close();
  expect(task.phases).toEqual(phases);
});

test.each([
  ["all", [0.6]],
  ["codec", []],
] as const)("the phases of a tokenizer run that trains %s: the end of restarts", async (train, phases) => {
  const task = await prepareTask(
    tokenizerRecipe({
      ...{ steps: 1, batch: 2, workers: 0, threads: 1, restartUntil: 0.6, train },
      ...(train === "all"
        ? { model: { resolution: 16, baseChannels: 8, channelMultiplier: [1, 1] } }
        : { init: join(folder, "tokenizers") }),
    }),
  );
  await task.close();
  expect(task.phases).toEqual(phases);
});

test.each(["exampleCounts", "plainCounts"])("mix.%s with only zeros is refused", (key) => {
  const make = () => transformerRecipe({ ...required, model: {}, mix: { [key]: [0, 0] } });
  expect(make).toThrow(XPromptError);
  expect(make).toThrow(`mix.${key}: expected one of them above 0, got zeros alone`);
});

test("no family of a held-out prototype is trained on, and the model's config says so", async () => {
  const recipe = transformerRecipe({
    ...{ ...required, tokenizers: join(folder, "tokenizers"), model: { layers: 1 }, xprompt: { tokens: 3 } },
    mix: { families: ["invert", "rotate", "rain"], heldOut: ["rain"], heldOutPrototypes: ["geometry"] },
    heldOutBatches: 1,
  });
  const task = await prepareTask(recipe);
  await task.release(join(folder, "released"));
  await task.close();
  const { training } = JSON.parse(await readFile(join(folder, "released", "config.json"), "utf8"));
  expect(training.families).toEqual(["invert"]);
  expect(training.held_out).toEqual(expect.arrayContaining(["rain", "rotate", "flipHorizontal"]));
  const { families, heldOutPrototypes } = await readTrainingFacts(join(folder, "released"));
  expect(families.map(({ name }) => name)).toEqual(["invert"]);
  expect(heldOutPrototypes).toEqual(["geometry"]);
});
