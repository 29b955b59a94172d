/** @file Batches shared by several ranks within one process, against the same training in one. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Interrupted, ReportedElsewhere, UsageError, XPromptError } from "../../../src/errors.ts";
import {
  alone,
  type Collective,
  inProcess,
  prepareTask,
  type RunResult,
  runTraining,
  type TokenizerRecipe,
  type TransformerRecipe,
  tokenizerRecipe,
  transformerRecipe,
} from "../../../src/training/index.ts";
import { stepsDone } from "../../../src/training/run/checkpoint.ts";
import { readMetrics } from "../../../src/training/run/metrics.ts";
import type { PackedBatch } from "../../../src/training/transformer/data.ts";
import { transformerTask } from "../../../src/training/transformer/task.ts";
import { writeTinyModel } from "../../fixtures/xprompt/kit.ts";

let folder = "";
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true); // the progress lines
  folder = await mkdtemp(join(tmpdir(), "xprompt-share-"));
  await writeTinyModel(at("tiny"));
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const common = {
  schedule: { shape: "constant" },
  workers: 0,
  threads: 1,
  logEvery: 1,
  evaluateEvery: 1000,
  sheetEvery: 1000,
  checkpointEvery: 10,
} as const;
type Task = Awaited<ReturnType<typeof prepareTask>>;
type Settings = Partial<Parameters<typeof transformerRecipe>[0]>;
/** Every kind of batch, with weights that differ from part to part, and codes that the model samples. */
const transformer = (change: Settings = {}): TransformerRecipe =>
  transformerRecipe({
    ...common,
    steps: 50,
    init: at("tiny"),
    optimizer: { learningRate: 3e-3, weightDecay: 0.01, clipNorm: 0.5 },
    contexts: 4,
    todos: 2,
    loss: { words: 3 },
    mix: {
      ...{ families: ["invert", "tint"], describe: 0.2, textToImage: 0.3, imageToText: 0.5 },
      ...{ exampleCounts: [1, 1], scheduledSampling: 0.5, tokenDropout: 0.3, withoutExample: 0.2 },
    },
    heldOutBatches: 1,
    ...change,
  });
const tokenizer = (change: Partial<Parameters<typeof tokenizerRecipe>[0]> = {}): TokenizerRecipe =>
  tokenizerRecipe({
    ...common,
    steps: 6,
    batch: 8,
    collages: 0.3,
    optimizer: { learningRate: 3e-3 },
    restartEvery: 2,
    model: {
      ...{ resolution: 16, baseChannels: 4, channelMultiplier: [1, 1, 1], residualBlocks: 1 },
      ...{ latentChannels: 4, embedDim: 4, codes: 16, normGroups: 2 },
    },
    text: { merges: 10, xpTokens: 4, tasks: 10 },
    ...change,
  });

interface How {
  readonly ranks: number;
  readonly resume?: boolean;
  /** Aborts the last rank alone once it has done this step. */
  readonly stopAt?: number;
}

/** Trains in so many ranks; returns what became of each. */
function outcomes(recipe: TransformerRecipe | TokenizerRecipe, out: string, how: How) {
  const { ranks, resume = false, stopAt } = how;
  const work = async (collective: Collective): Promise<RunResult> => {
    const task = await prepareTask(recipe, collective);
    const interrupt = new AbortController();
    const step: typeof task.step = async (batch, rate) => {
      const done = await task.step(batch, rate);
      if (task.state.step === stopAt && collective.rank === ranks - 1) interrupt.abort(new Interrupted());
      return done;
    };
    try {
      const quick = { ...task, step, sheet: async () => undefined };
      return await runTraining(quick, { out, resume, signal: interrupt.signal });
    } finally {
      await task.close();
    }
  };
  return Promise.allSettled((ranks === 1 ? [alone] : inProcess(ranks)).map(work));
}

/** The losses of a run that ends well, and the weights it ends with. */
async function trained(recipe: TransformerRecipe | TokenizerRecipe, out: string, how: How) {
  const ended = await outcomes(recipe, out, how);
  const digests = ended.map((each) => {
    if (each.status === "rejected") throw each.reason;
    return each.value.digest;
  });
  expect(new Set(digests).size, "weights of the ranks").toBe(1);
  const lines = (await readMetrics(join(out, "metrics.jsonl"))).filter(({ step }) => step > 0);
  return { digest: digests[0]!, lines };
}
type Trained = Awaited<ReturnType<typeof trained>>;

/** Largest difference between two runs in any of the figures of any step, as a share. */
function difference(a: Trained, b: Trained, names: readonly string[]): number {
  expect(b.lines.map(({ step }) => step)).toEqual(a.lines.map(({ step }) => step));
  const differences = a.lines.flatMap((line, i) =>
    names
      .filter((name) => line[name] !== undefined)
      .map((name) => Math.abs(b.lines[i]![name]! / line[name]! - 1)),
  );
  expect(differences.length).toBeGreaterThan(a.lines.length);
  return Math.max(...differences);
}

const figures = ["loss", "nll", "captionNll", "wordsNll", "psnr", "usedCodes"];

describe("a transformer", () => {
  let whole: Trained;
  beforeAll(async () => {
    whole = await trained(transformer(), at("whole"), { ranks: 1 });
  });

  test.each([2, 4])("in %i ranks has the losses of one process", async (ranks) => {
    const shared = await trained(transformer(), at(`ranks ${ranks}`), { ranks });
    expect(difference(whole, shared, figures)).toBeLessThan(1e-5);
    expect(await filesOf(at(`ranks ${ranks}`))).toEqual(await filesOf(at("whole")));
  });

  test("stopped in one of two ranks, stops in both, and goes on in four and then in one", async () => {
    const out = at("resumed");
    const stopped = await outcomes(transformer(), out, { ranks: 2, stopAt: 17 });
    for (const each of stopped) expect(each).toMatchObject({ reason: expect.any(Interrupted) });
    const again = await outcomes(transformer({ threads: 2 }), out, { ranks: 4, resume: true, stopAt: 33 });
    for (const each of again) expect(each).toMatchObject({ reason: expect.any(Interrupted) });
    const end = await trained(transformer(), out, { ranks: 1, resume: true });
    expect(difference(whole, end, figures)).toBeLessThan(1e-5);
  });

  test("stopped and resumed in as many ranks, it ends in the same bits", async () => {
    const recipe = transformer({ steps: 8 });
    const { digest } = await trained(recipe, at("two"), { ranks: 2 });
    await outcomes(recipe, at("two again"), { ranks: 2, stopAt: 5 });
    expect((await trained(recipe, at("two again"), { ranks: 2, resume: true })).digest).toBe(digest);
  });

  test("with windows for four steps, stopped among them or after them and resumed, it is the same", async () => {
    const recipe = transformer({ steps: 8, window: 2, windowSteps: 4, windowContexts: 8 });
    const { digest } = await trained(recipe, at("windows"), { ranks: 2 });
    for (const stopAt of [2, 6]) {
      const out = at(`windows ${stopAt}`);
      await outcomes(recipe, out, { ranks: 2, stopAt });
      expect((await trained(recipe, out, { ranks: 2, resume: true })).digest).toBe(digest);
    }
  });

  test.each<[string, Settings]>([
    ["windows first", { window: 2, windowSteps: 4, windowContexts: 8 }],
    ["by Muon, with a mean of the weights", { optimizer: { matrices: "muon" }, averageFrom: 0.5 }],
    ["an adapter alone", { train: "lora", lora: { rank: 2, alpha: 4 } }],
    ["answers alone", { loss: { query: 0, instruction: 0 } }],
    ["answers and instructions", { loss: { query: 0, instruction: 2 } }],
  ])("%s", async (name, change) => {
    const recipe = transformer({ steps: 8, ...change });
    const one = await trained(recipe, at(`${name} 1`), { ranks: 1 });
    const two = await trained(recipe, at(`${name} 2`), { ranks: 2 });
    expect(difference(one, two, figures)).toBeLessThan(1e-5);
  });

  test.each([2, 4])("the parts of %i ranks are the batch of one process, in its order", async (ranks) => {
    const parts = async (collective: Collective) => {
      const task = await transformerTask(transformer(), collective);
      const stream = task.batches(0);
      try {
        const batches: PackedBatch[] = [];
        for (let step = 0; step < 8; step++) batches.push(await stream.next());
        return batches;
      } finally {
        await stream.close();
        await task.close();
      }
    };
    const [one] = await Promise.all([alone].map(parts));
    const shared = await Promise.all(inProcess(ranks).map(parts));
    for (const [step, batch] of one!.entries())
      for (const name of ["exampleTokens", "todoTokens", "targets", "weights"] as const) {
        const joined = shared.flatMap((batches) => [...batches[step]![name]]);
        expect(joined, `${name} of step ${step}`).toEqual([...batch[name]]);
      }
  });
});

/** What is in a run folder; event files have the time and the process in their names. */
const filesOf = async (run: string) => (await readdir(run)).map((name) => name.replace(/\.\d.*/, "")).sort();

describe("a tokenizer", () => {
  const sorts: [string, TokenizerRecipe][] = [
    ["with an encoder, and dead codes that are restarted", tokenizer()],
    [
      "of raw patches",
      tokenizer({
        steps: 6,
        model: { ...tokenizer().model, patches: true },
        kMeans: { pictures: 32, iterations: 2 },
      }),
    ],
  ];
  test.each(sorts)("%s has the losses of one process", async (name, recipe) => {
    const one = await trained(recipe, at(`${name} 1`), { ranks: 1 });
    const four = await trained(recipe, at(`${name} 4`), { ranks: 4 });
    expect(difference(one, four, figures)).toBeLessThan(1e-5);
  });

  test("whose loss compares pictures of the whole batch is refused", async () => {
    const refused = prepareTask(tokenizer({ loss: { constancy: 1 } }), inProcess(2)[0]);
    await expect(refused).rejects.toThrow(/loss\.constancy: expected 0 in 2 processes, got 1/);
  });
});

describe("refused:", () => {
  test("a batch that cannot be divided", async () => {
    const three = inProcess(3);
    const refused = prepareTask(transformer(), three[0]);
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(
      "sharing a batch among 3 processes: expected contexts to be a multiple of 3, got 4",
    );
    await expect(prepareTask(tokenizer(), three[1])).rejects.toThrow(
      "expected batch to be a multiple of 3, got 8",
    );
  });

  test.each<[string, (task: Task, rank: number) => Partial<Task>]>([
    ["settings", ({ recipe }, rank) => ({ recipe: { ...recipe, seed: rank } })],
    ["tokenizers", ({ inputs }, rank) => ({ inputs: { ...inputs, models: [String(rank)] } })],
  ])("ranks with other %s: the rank that differs says so, the others end with it", async (_, change) => {
    const ended = await Promise.allSettled(
      inProcess(2).map(async (collective) => {
        const task = await prepareTask(transformer(), collective);
        try {
          return await runTraining({ ...task, ...change(task, collective.rank) }, { out: at("differ") });
        } finally {
          await task.close();
        }
      }),
    );
    expect(ended[0]).toMatchObject({ reason: expect.any(ReportedElsewhere) });
    expect(ended[1]).toMatchObject({
      reason: expect.objectContaining({
        message: expect.stringMatching(
          /expected the same recipe, models and data sets in all, got others in process 1/,
        ),
      }),
    });
  });

  test("weights that drift apart: found at the next checkpoint, and not saved", async () => {
    const ended = await Promise.allSettled(
      inProcess(2).map(async (collective) => {
        const task = await transformerTask(transformer({ steps: 20 }), collective);
        const step: typeof task.step = async (batch, rate) => {
          const done = await task.step(batch, rate);
          const [weight] = task.state.parameters.keys();
          if (collective.rank === 1 && task.state.step === 15) task.state.values(weight!)[0]! += 1e-3;
          return done;
        };
        const quick = { ...task, step, sheet: async () => undefined };
        return runTraining(quick, { out: at("drift") }).finally(() => task.close());
      }),
    );
    expect(ended[0]).toMatchObject({ reason: expect.any(ReportedElsewhere) });
    expect(String((ended[1] as PromiseRejectedResult).reason)).toMatch(
      /expected the same weights after step 20 in all, got others in process 1/,
    );
    expect(await stepsDone(at("drift"))).toBe(10);
  });

  test("a run that is there: rank 0 looks, all end", async () => {
    await trained(transformer({ steps: 1 }), at("there"), { ranks: 2 });
    const [first, second] = await outcomes(transformer({ steps: 1 }), at("there"), { ranks: 2 });
    expect(first).toMatchObject({ reason: expect.any(UsageError) });
    expect(second).toMatchObject({ reason: expect.any(ReportedElsewhere) });
  });

  test("a loss that is no number: rank 0 reports it", async () => {
    const recipe = transformer({ optimizer: { learningRate: 1e30 } });
    const [first, second] = await outcomes(recipe, at("nan"), { ranks: 2 });
    expect(first).toMatchObject({ reason: expect.any(XPromptError) });
    expect(String((first as PromiseRejectedResult).reason)).toMatch(/the loss became NaN at step \d/);
    expect(second).toMatchObject({ reason: expect.any(ReportedElsewhere) });
  });
});
