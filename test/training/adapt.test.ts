/** @file Training from a model: changed and frozen weights, computed gradients, resuming, written folders. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAdapterFolder } from "../../src/chameleon/checkpoint/adapter-folder.ts";
import { readWeights, weightsChecksum } from "../../src/chameleon/checkpoint/folder.ts";
import { loraTargets } from "../../src/chameleon/model/lora.ts";
import { XPromptError } from "../../src/errors.ts";
import { Graph, gradients, type Tensor } from "../../src/graph/index.ts";
import { optimize, optimizerSchema } from "../../src/training/optimizer/optimizer.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/training/run/checkpoint.ts";
import type { TrainingTask } from "../../src/training/run/task.ts";
import type { PackedBatch } from "../../src/training/transformer/data.ts";
import { objective } from "../../src/training/transformer/objective.ts";
import { type TransformerRecipe, transformerRecipe } from "../../src/training/transformer/recipe.ts";
import { transformerTask } from "../../src/training/transformer/task.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import type { Packing } from "../../src/xprompt/packing.ts";
import { tiny } from "../fixtures/chameleon/kit.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";

let folder = "";
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-adapt-"));
  await writeTinyModel(at("tiny"));
  await writeTinyModel(at("other"), 2);
});
afterAll(() => rm(folder, { recursive: true }));

type Settings = Partial<Parameters<typeof transformerRecipe>[0]>;
const recipeOf = (change: Settings = {}): TransformerRecipe =>
  transformerRecipe({
    steps: 6,
    init: at("tiny"),
    optimizer: { learningRate: 3e-2, weightDecay: 0.01 },
    schedule: { shape: "constant" },
    contexts: 2,
    todos: 2,
    mix: { families: ["invert", "tint"], describe: 0, textToImage: 0, exampleCounts: [1] },
    heldOutBatches: 1,
    workers: 0,
    threads: 1,
    ...change,
  });
type Task = TrainingTask<PackedBatch>;

async function withTask<T>(recipe: TransformerRecipe, work: (task: Task) => Promise<T>): Promise<T> {
  const task = await transformerTask(recipe);
  try {
    return await work(task);
  } finally {
    await task.close();
  }
}

/** Trains from the task's current step to another one. Returns the losses. */
async function train(task: Task, upTo: number): Promise<number[]> {
  const stream = task.batches(task.state.step);
  const losses: number[] = [];
  while (task.state.step < upTo) {
    const { metrics } = await task.step(await stream.next(), task.recipe.optimizer.learningRate);
    losses.push(metrics.loss!);
  }
  await stream.close();
  return losses;
}

const modes: [name: string, settings: Settings][] = [
  ["xp", { train: "xp" }],
  ["lora", { train: "lora", lora: { rank: 2, alpha: 4, imageHead: true } }],
];

describe.each(modes)("train: %s", (mode, settings) => {
  const recipe = () => recipeOf(settings);

  test("learns; the base stays bit-identical and has no moments", () =>
    withTask(recipe(), async (task) => {
      const { state } = task;
      const base = await readWeights(at("tiny"), undefined, (name) => !name.includes("vqmodel"));
      expect([...state.frozen!.weights.keys()].sort()).toEqual([...base.keys()].sort());
      const rows = ["model.embed_tokens.token_adapter.trainable_tokens_delta"];
      const expected =
        mode === "xp"
          ? rows
          : [
              ...rows,
              "lm_head.token_adapter.trainable_tokens_delta",
              ...[0, 1].flatMap((layer) =>
                loraTargets.flatMap((target) => {
                  const part = /gate|up|down/.test(target) ? "mlp" : "self_attn";
                  return ["A", "B"].map(
                    (side) => `model.layers.${layer}.${part}.${target}.lora_${side}.weight`,
                  );
                }),
              ),
            ];
      expect([...state.parameters.keys()].sort()).toEqual(expected.sort());
      expect(state.buffers.size).toBe(3 * expected.length);
      const before = (await task.evaluate())["seen.right"]!;
      const digest = state.digest();
      await train(task, 6);
      expect((await task.evaluate())["seen.right"]!).toBeLessThan(before);
      expect(state.digest()).not.toBe(digest);
      for (const [name, { data }] of base) expect(state.frozen!.weights.get(name)!.data, name).toEqual(data);
    }));

  test("starts as the base: the first loss equals that of training all weights", async () => {
    const [first] = await withTask(recipe(), (task) => train(task, 1));
    const [all] = await withTask(recipeOf(), (task) => train(task, 1));
    expect(first).toBeCloseTo(all!, 4);
  });

  test("a resumed run ends with the same bits", async () => {
    const run = at(`run ${mode}`);
    await mkdir(run);
    const whole = await withTask(recipe(), async (task) => {
      await train(task, 3);
      await saveCheckpoint(run, task.state, task.extras, task.recipe);
      await train(task, 6);
      return task.state.digest();
    });
    const resumed = await withTask(recipe(), async (task) => {
      await loadCheckpoint(run, task.state, task.extras, task.recipe);
      await train(task, 6);
      return task.state.digest();
    });
    expect(resumed).toBe(whole);
    // The same recipe, but another model in place of the base.
    await withTask(recipe(), async (task) => {
      const state = Object.assign(Object.create(Object.getPrototypeOf(task.state)), task.state);
      Object.assign(state, { frozen: { ...task.state.frozen, checksum: "0".repeat(64) } });
      await expect(loadCheckpoint(run, state, task.extras, task.recipe)).rejects.toThrow(
        /expected the model that it was started with/,
      );
    });
  });

  test("writes an adapter of the base, or a complete model", async () => {
    const released = at(`adapter ${mode}`);
    await withTask(recipe(), async (task) => {
      await train(task, 4);
      await task.release(released);
      const stored = await readAdapterFolder(released);
      for (const [name, { data }] of stored.weights) expect(task.state.values(name), name).toEqual(data);
    });
    expect((await readdir(released)).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const merged = at(`merged ${mode}`);
    await withTask({ ...recipe(), merge: true }, async (task) => {
      await train(task, 4);
      await task.release(merged);
    });
    const models = await Promise.all([
      XPrompt.load(at("tiny"), { threads: 1 }),
      XPrompt.load(at("tiny"), { threads: 1, adapter: released }),
      XPrompt.load(merged, { threads: 1 }),
    ]);
    try {
      expect(new Set(models.map(({ fingerprint }) => fingerprint)).size).toBe(3);
      const pair = { input: somePicture("a"), output: somePicture("b") };
      const [alone, adapted, whole] = await Promise.all(
        models.map(async (model) => (await model.compress([pair])).blocks[0]!.layers[1]!.values),
      );
      const distance = (a: Float32Array, b: Float32Array) =>
        Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
      // Complete models are written in half precision.
      expect(distance(adapted!, whole!)).toBeLessThan(0.02);
      expect(distance(adapted!, alone!)).toBeGreaterThan(0.1);
      const drawn = await models[1].generate({ input: somePicture("c"), instruction: "rain", seed: 1 });
      expect(drawn.model).toBe(models[1].fingerprint);
    } finally {
      await Promise.all(models.map((model) => model.release()));
    }
    await expect(XPrompt.load(at("other"), { adapter: released })).rejects.toMatchObject({
      message: expect.stringMatching(/^using adapter .*: expected an adapter of this model/),
      code: "ERR_MISMATCH",
    });
  });
});

test.each<[name: string, change: Settings]>([
  ["by Muon", { optimizer: { matrices: "muon", learningRate: 1e-2 } }],
  ["with scheduled sampling", { mix: { ...recipeOf().mix, scheduledSampling: 1 } }],
])(
  "all weights %s: learns, and ends in the same bits when it was stopped and resumed",
  async (name, change) => {
    const plain = recipeOf({ optimizer: { learningRate: 1e-2 } });
    const recipe = recipeOf({ optimizer: plain.optimizer, ...change });
    const run = at(`run ${name}`);
    await mkdir(run);
    const [before, after, whole] = await withTask(recipe, async (task) => {
      const before = (await task.evaluate())["seen.right"]!;
      await train(task, 3);
      await saveCheckpoint(run, task.state, task.extras, task.recipe);
      await train(task, 6);
      return [before, (await task.evaluate())["seen.right"]!, task.state.digest()];
    });
    expect(after).toBeLessThan(before);
    const resumed = await withTask(recipe, async (task) => {
      await loadCheckpoint(run, task.state, task.extras, task.recipe);
      await train(task, 6);
      return task.state.digest();
    });
    expect(resumed).toBe(whole);
    const without = await withTask(plain, async (task) => {
      await train(task, 6);
      return task.state.digest();
    });
    expect(without).not.toBe(whole);
  },
);

test("scheduled sampling begins at its share of the steps", async () => {
  const digests = (recipe: ReturnType<typeof recipeOf>) =>
    withTask(recipe, async (task) => {
      const ends: string[] = [];
      for (const step of [3, 4]) {
        await train(task, step);
        ends.push(task.state.digest());
      }
      return ends;
    });
  const plain = recipeOf({ steps: 6 });
  const without = await digests(plain);
  const late = await digests({
    ...plain,
    mix: { ...plain.mix, scheduledSampling: 1, scheduledSamplingFrom: 0.5 },
  });
  expect(late[0]).toBe(without[0]);
  expect(late[1]).not.toBe(without[1]);
});

test("train: all starts with the model's weights and changes them", () =>
  withTask(recipeOf(), async (task) => {
    const base = await readWeights(at("tiny"), undefined, (name) => !name.includes("vqmodel"));
    expect(task.state.frozen).toBeUndefined();
    for (const [name, { data }] of base) expect(task.state.values(name), name).toEqual(data);
    await train(task, 1);
    for (const [name, { data }] of base) expect(task.state.values(name), name).not.toEqual(data);
  }));

test("a step computes no gradient of a frozen matrix, and does not copy one", () => {
  const packing: Packing = {
    contexts: 1,
    examples: 1,
    exampleLength: 7,
    xpTokens: 2,
    todos: 2,
    todoLength: 5,
    mask: "xprompt",
  };
  const shapesIn = (adapted: boolean): Set<string> => {
    const graph = new Graph();
    const lora = { rank: 3, alpha: 3, targets: loraTargets };
    const adapter = { lora, embeddingTokens: [5, 6], headTokens: [8, 9] };
    const { loss } = objective(graph, packing, { ...tiny, ...(adapted && { adapter }) }, { zLoss: 0.1 });
    const isFrozen = (name: string) => adapted && !/lora_|token_adapter/.test(name);
    const trained = [...graph.parameters].flatMap(([name, tensor]) => (isFrozen(name) ? [] : [tensor]));
    const settings = optimizerSchema.parse({
      beta1: 0.9,
      beta2: 0.9,
      epsilon: 1e-8,
      weightDecay: 0,
      clipNorm: 1,
    });
    const { outputs } = optimize(graph, trained, gradients(loss, trained), settings);
    expect(Object.keys(outputs)).toHaveLength(3 * trained.length);
    const made = new Set<string>();
    const seen = new Set<Tensor>();
    const open = Object.values(outputs);
    while (open.length > 0) {
      const tensor = open.pop()!;
      if (seen.has(tensor) || tensor.source.kind !== "application") continue;
      seen.add(tensor);
      made.add(tensor.shape.join());
      open.push(...tensor.source.application.inputs);
    }
    return made;
  };
  // Shapes of matrices (width 24, inner width 20, 29 tokens), which no activation has.
  const matrices = ["20,24", "24,20", "24,24", "29,24"];
  const [adapted, all] = [shapesIn(true), shapesIn(false)];
  for (const shape of matrices) {
    expect(all, shape).toContain(shape);
    expect(adapted, shape).not.toContain(shape);
  }
});

test.each([
  // <s>, five words, two pictures of 16 codes with begin and end, and seven XP tokens do not fit before position 48.
  [2, 48],
  [7, 64],
])(
  "all weights, with %i XP tokens instead of three: TODO parts begin at %i",
  async (tokens, todoPosition) => {
    await writeTinyModel(at(`named ${tokens}`), 1, 8);
    await withTask(recipeOf({ init: at(`named ${tokens}`), xprompt: { tokens } }), async (task) => {
      await train(task, 1);
      await task.release(at(`with ${tokens}`));
    });
    const model = await XPrompt.load(at(`with ${tokens}`), { threads: 1 });
    expect(model.config.xprompt).toMatchObject({ tokens, todoPosition, maxTextTokens: 5 });
    const example = { input: somePicture("before"), output: somePicture("after") };
    const prompt = await model.compress([example]);
    expect(prompt.blocks[0]!.length).toBe(tokens);
    const { images } = await model.generate({ prompt, input: somePicture("query"), seed: 1 });
    expect(images).toHaveLength(1);
    await model.release();
  },
);

test("shared codes: a model starts as it was, and its rows then learn together", async () => {
  const shared = recipeOf({ model: { sharedCodes: true } });
  const first = await withTask(recipeOf(), (task) => train(task, 1));
  await withTask(shared, async (task) => {
    const map = task.state.values("lm_head.code_map");
    expect(map.every((value) => value === 0)).toBe(true);
    // The same model, so the same loss.
    expect((await train(task, 1))[0]).toBeCloseTo(first[0]!, 5);
    expect(task.state.values("lm_head.code_map").some((value) => value !== 0)).toBe(true);
    await task.release(at("shared"));
  });
  const model = await XPrompt.load(at("shared"), { threads: 1 });
  await model.release();
});

test("at the last step, weights are mixed with those of init; rows of shared codes too", async () => {
  const name = "lm_head.weight";
  const settings = { steps: 3, model: { sharedCodes: true } };
  const written = async (initialShare: number) => {
    await withTask(recipeOf({ ...settings, initialShare }), async (task) => {
      await train(task, 2);
      await task.release(at(`early ${initialShare}`));
      await train(task, 3);
      await task.release(at(`mixed ${initialShare}`));
    });
    const [early, last] = await Promise.all(
      ["early", "mixed"].map((part) => readWeights(at(`${part} ${initialShare}`), undefined)),
    );
    return { early: early!.get(name)!.data, last: last!.get(name)!.data };
  };
  const before = (await readWeights(at("tiny"), undefined)).get(name)!.data;
  const trained = await written(0);
  const mixed = await written(0.25);
  expect(mixed.early).toEqual(trained.early);
  expect(trained.last.some((value, i) => Math.abs(value - before[i]!) > 0.01)).toBe(true);
  for (const [i, value] of mixed.last.entries())
    expect(value).toBeCloseTo(0.75 * trained.last[i]! + 0.25 * before[i]!, 2);
});

test("what a run reads is named by digests: its tokenizers, and weights that are mixed in at the end", async () => {
  const modelsOf = (settings: Settings) =>
    withTask(recipeOf(settings), async ({ inputs }) => inputs!.models!);
  const [tokenizers, ...none] = await modelsOf({});
  expect(none).toEqual([]);
  expect(await modelsOf({ initialShare: 0.5 })).toEqual([
    tokenizers,
    await weightsChecksum(at("tiny"), undefined),
  ]);
  expect((await modelsOf({ init: at("other") }))[0]).not.toBe(tokenizers);
});

test("a model's config has the families of its initial model, too, and holds out none of these", async () => {
  await writeTinyModel(at("before"));
  const path = at("before", "config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  const training = { families: ["rain", "rotate"], held_out: ["haze"] };
  await writeFile(path, JSON.stringify({ ...config, training }));
  const held = { heldOut: ["rain", "haze"], heldOutPrototypes: ["geometry" as const, "perception" as const] };
  const recipe = recipeOf({ init: at("before"), mix: { ...recipeOf().mix, ...held } });
  await withTask(recipe, (task) => task.release(at("after")));
  const written = JSON.parse(await readFile(at("after", "config.json"), "utf8")).training;
  expect(written.families).toEqual(["rain", "invert", "tint", "rotate"]);
  expect(written.held_out).toEqual(expect.arrayContaining(["haze", "flipHorizontal", "depth"]));
  for (const name of training.families) expect(written.held_out).not.toContain(name);
  expect(written.held_out_prototypes).toEqual(["perception"]);
});

describe("refused", () => {
  test.each([
    [
      { train: "xp", model: { sharedCodes: true } },
      'model.sharedCodes: expected it with all weights trained, got train "xp"',
    ],
    [{ train: "xp", initialShare: 0.5 }, 'initialShare: expected init, and train "all", got init '],
    [{ init: undefined, initialShare: 0.5 }, 'initialShare: expected init, and train "all", got init none'],
    [{ window: 5 }, "window: expected at most 4 codes per side, as the pictures have, got 5"],
    [{ windowSteps: 5 }, "windowSteps: expected window as well, got none"],
    [{ window: 2, windowContexts: 4 }, "windowContexts: expected windowSteps as well, got none"],
    [{ init: undefined, train: "lora" }, 'train: expected "all" for a new model, got "lora"'],
    [{ model: { hiddenSize: 48 } }, "model.hiddenSize: expected 24, as "],
    [{ model: { layers: 2, heads: 2 } }, "model.heads: expected 4, as "],
    [{ xprompt: { tokens: 4 } }, "xprompt.tokens: expected at most the 3 XP tokens of "],
    [{ train: "xp", xprompt: { tokens: 2 } }, "xprompt.tokens: expected 3, as "],
    [{ train: "lora", xprompt: { mask: "causal" } }, 'xprompt.mask: expected "xprompt", as '],
    [{ train: "lora", xprompt: { sampling: { topP: 0.9 } } }, "xprompt.sampling: expected that of "],
    [{ model: { shortcuts: true } }, "model.shortcuts: expected false, as "],
    [{ model: { wholePictures: true } }, "model.wholePictures: expected false, as "],
    [
      { train: "xp", optimizer: { matrices: "muon" } },
      'optimizer.matrices: expected "adamw" with frozen layers (train is "xp")',
    ],
    [{ tokenizers: "nano" }, "tokenizers: expected "],
  ] as [Settings, string][])("%j", async (change, says) => {
    const refused = transformerTask(recipeOf(change));
    await expect(refused).rejects.toThrow(XPromptError);
    await expect(refused).rejects.toThrow(`transformer recipe: ${says}`);
  });

  test("an adapter that is merged may have another mask and sampling", () =>
    withTask(
      recipeOf({ train: "xp", merge: true, xprompt: { mask: "causal", sampling: { topP: 0.9 } } }),
      async (task) => {
        await task.release(at("merged mask"));
        const { xprompt } = JSON.parse(await readFile(at("merged mask", "config.json"), "utf8"));
        expect(xprompt).toMatchObject({ mask: "causal", sampling: { top_p: 0.9 } });
      },
    ));

  test("the sampling of an adapter may be named if it is the model's", async () => {
    await writeTinyModel(at("recommending"));
    const path = at("recommending", "config.json");
    const config = JSON.parse(await readFile(path, "utf8"));
    const sampling = { words_alone: { top_k: 5 }, top_p: 0.9 };
    await writeFile(path, JSON.stringify({ ...config, xprompt: { ...config.xprompt, sampling } }));
    const same = { topP: 0.9, wordsAlone: { topK: 5 } };
    const given = (more: object) =>
      recipeOf({ init: at("recommending"), train: "xp", xprompt: { sampling: { ...same, ...more } } });
    await withTask(given({}), async () => {});
    await expect(transformerTask(given({ topP: 0.8 }))).rejects.toThrow(
      'with train "xp", as adapters do not store it, got topP: 0.9 → 0.8 (leave it out',
    );
  });

  test("settings that equal the model's are no conflict", () =>
    withTask(recipeOf({ model: { hiddenSize: 24, layers: 2 }, xprompt: { tokens: 3 } }), async (task) => {
      expect(task.state.parameters.get("lm_head.weight")).toEqual([expect.any(Number), 24]);
    }));
});
