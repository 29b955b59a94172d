import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { loadTokenizers, readWeights } from "../../../src/chameleon/checkpoint/folder.ts";
import { UsageError, XPromptError } from "../../../src/errors.ts";
import { sha256File } from "../../../src/runtime/files.ts";
import { curvesSvg } from "../../../src/training/run/curves.ts";
import { readMetrics } from "../../../src/training/run/metrics.ts";
import { runTraining } from "../../../src/training/run/run.ts";
import { TrainingState } from "../../../src/training/run/state.ts";
import type { RunOptions, RunResult, TrainingTask } from "../../../src/training/run/task.ts";
import { SampleStream } from "../../../src/training/run/workers.ts";
import { bin } from "../../built.ts";
import type { Batch, Options } from "../../fixtures/samples/source.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-run-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("runTraining", () => {
  beforeAll(() => {
    vi.spyOn(process.stderr, "write").mockReturnValue(true); // The progress lines.
  });
  afterAll(() => {
    vi.restoreAllMocks();
  });

  interface Called {
    /** Steps and learning rates that the task received. */
    readonly rates: [step: number, rate: number][];
    readonly evaluated: number[];
    readonly sheets: number[];
    readonly released: string[];
    readonly streams: SampleStream<Batch, Options>[];
  }
  /** A task whose weights depend on all its batches, so that missing or repeated steps are detected. */
  function toy(
    change: {
      steps?: number;
      lossAt?: (step: number) => number;
      from?: number[];
      normAt?: typeof Math.abs;
    } = {},
  ) {
    const { steps = 10, lossAt = (step: number) => 10 - step, from = [], normAt = () => 1 } = change;
    const called: Called = { rates: [], evaluated: [], sheets: [], released: [], streams: [] };
    const state = new TrainingState(new Map([["mix", [1]]]));
    const memory = new Float32Array(2);
    const task: TrainingTask<Batch> = {
      recipe: {
        kind: "toy",
        seed: 1,
        steps,
        optimizer: {
          learningRate: 0.5,
          beta1: 0.9,
          beta2: 0.99,
          epsilon: 1e-8,
          weightDecay: 0,
          clipNorm: 1,
          matrices: "adamw",
          momentum: 0.95,
        },
        schedule: { shape: "linear", warmup: 2, floor: 0, decay: 0.2 },
        logEvery: 3,
        evaluateEvery: 4,
        sheetEvery: 6,
        checkpointEvery: 5,
        workers: 0,
        threads: 1,
        device: "cpu",
      },
      state,
      memory: 2 ** 20,
      extras: { memory },
      unit: "pictures",
      batches: (first) => {
        from.push(first);
        const module = new URL("../../fixtures/samples/source.ts", import.meta.url);
        const stream = new SampleStream<Batch, Options>({
          module,
          options: { seed: 1 },
          workers: 0,
          from: first,
        });
        called.streams.push(stream);
        return stream;
      },
      async step(batch, rate) {
        called.rates.push([batch.step, rate]);
        state.values("mix")[0] = state.values("mix")[0]! * 0.5 + batch.step + rate;
        memory[0]! += batch.step;
        state.step += 1;
        const [loss, gradientNorm] = [lossAt(state.step), normAt(state.step)];
        return { metrics: { loss, gradientNorm, other: 1 }, units: 4 };
      },
      evaluate: async () => {
        called.evaluated.push(state.step);
        return { psnr: state.step };
      },
      sheet: async () => {
        called.sheets.push(state.step);
        return { width: 2, height: 2, data: new Float32Array(12) };
      },
      release: async (path) => {
        called.released.push(path);
      },
      close: async () => {},
    };
    return { task, called, state, memory };
  }
  let runs = 0;
  const fresh = () => join(folder, `toy-${runs++}`);
  const run = (task: TrainingTask<Batch>, options: RunOptions): Promise<RunResult> =>
    runTraining(task, options);

  test("logs, evaluates, draws sheets and saves when due, and all of these at the last step", async () => {
    const { task, called, state } = toy();
    const out = fresh();
    const result = await run(task, { out });
    expect(called.rates.map(([step]) => step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(called.evaluated).toEqual([0, 4, 8, 10]);
    expect(called.sheets).toEqual([6, 10]);
    expect(called.released).toEqual([join(out, "model")]);
    expect(result).toMatchObject({ steps: 10, loss: 0, digest: state.digest(), model: join(out, "model") });
    const lines = await readMetrics(join(out, "metrics.jsonl"));
    expect(lines.map(({ step }) => step)).toEqual([0, 3, 4, 6, 8, 9, 10]);
    expect(lines[0]).toMatchObject({ "heldOut.psnr": 0 });
    expect(lines[1]).toMatchObject({ loss: 7, other: 1, learningRate: 0.5 });
    expect(lines[2]).toMatchObject({ "heldOut.psnr": 4 });
    expect(lines[2]).not.toHaveProperty("loss");
    expect(result.heldOut).toEqual({ before: { psnr: 0 }, after: { psnr: 10 } });
    expect(lines.at(-1)).toMatchObject({ loss: 0, "heldOut.psnr": 10 });
    expect((await readdir(join(out, "sheets"))).sort()).toEqual(["step-000006.png", "step-000010.png"]);
    expect(await readFile(join(out, "curves.svg"), "utf8")).toBe(curvesSvg(lines, "training toy"));
    expect(JSON.parse(await readFile(join(out, "recipe.json"), "utf8"))).toEqual(task.recipe);
    const { step } = JSON.parse(await readFile(join(out, "checkpoint", "training.json"), "utf8"));
    expect(step).toBe(10);
  });

  test("gives each step the learning rate of the schedule", async () => {
    const { task, called } = toy();
    await run(task, { out: fresh() });
    expect(called.rates.map(([, rate]) => Number(rate.toFixed(6)))).toEqual([
      ...[0.25, 0.5],
      ...[8, 7, 6, 5, 4, 3, 2, 1].map((left) => (0.5 * left) / 8),
    ]);
  });

  test.each([
    ["stopped run resumes from there", 7],
    ["killed run resumes from its last checkpoint", 5],
  ])("a %s and ends like an uninterrupted one", async (how, resumedAt) => {
    const whole = toy();
    const { digest } = await run(whole.task, { out: fresh() });
    const out = fresh();
    const interrupt = new AbortController();
    const first = toy({
      lossAt: (step) => {
        if (step === 7 && how.includes("killed")) throw new Error("interrupted");
        if (step === 7) interrupt.abort(new XPromptError("interrupted"));
        return 10 - step;
      },
    });
    const stopped = run(first.task, { out, signal: interrupt.signal });
    await expect(stopped).rejects.toThrow("interrupted");
    expect(first.called.released).toEqual([]);
    const from: number[] = [];
    const second = toy({ from });
    const result = await run(second.task, { out, resume: true });
    expect(from).toEqual([resumedAt]);
    expect(second.called.rates).toEqual(whole.called.rates.slice(resumedAt));
    expect([result.digest, second.memory[0]]).toEqual([digest, whole.memory[0]]);
    const steps = (await readMetrics(join(out, "metrics.jsonl"))).map(({ step }) => step);
    expect(steps).toEqual([0, 3, 4, 6, 8, 9, 10]);
  });

  test("resuming a finished run only reports its result", async () => {
    const out = fresh();
    const { digest } = await run(toy().task, { out });
    const again = toy();
    const result = await run(again.task, { out, resume: true });
    expect(again.called.rates).toEqual([]);
    expect(result).toMatchObject({ steps: 10, loss: 0, digest });
  });

  test("refuses to overwrite a run or to resume none, and writes nothing", async () => {
    const out = fresh();
    const none = run(toy().task, { out, resume: true });
    await expect(none).rejects.toThrow(XPromptError);
    await expect(none).rejects.toThrow(/expected a checkpoint, found none \(leave out --resume/);
    expect(existsSync(out)).toBe(false);
    await run(toy().task, { out });
    const before = await readFile(join(out, "metrics.jsonl"), "utf8");
    const again = run(toy().task, { out });
    await expect(again).rejects.toThrow(UsageError);
    await expect(again).rejects.toThrow(/holds a run \(add --resume/);
    expect(await readFile(join(out, "metrics.jsonl"), "utf8")).toBe(before);
  });

  test("a second run in the same folder is refused and changes nothing; the lock goes with the run", async () => {
    const out = fresh();
    await mkdir(out);
    const lock = join(out, "run.lock");
    await writeFile(lock, `${process.ppid} ${hostname()}\n`);
    await expect(run(toy().task, { out })).rejects.toMatchObject({
      code: "ERR_LOCKED",
      message: expect.stringContaining(`expected one run at a time, got one by process ${process.ppid}`),
    });
    expect(await readdir(out)).toEqual(["run.lock"]);
    await rm(lock);
    await run(toy().task, { out });
    expect(existsSync(lock)).toBe(false);
  });

  const infiniteAt = (last: number) => (step: number) => (step === last ? Number.NaN : 1);
  test.each([
    ["loss", { lossAt: infiniteAt(7) }, 7],
    // The loss is that of the weights before the step: it does not tell that they are spoilt.
    ["gradient norm", { normAt: infiniteAt(10) }, 10],
  ])("stops when the %s is not finite, and keeps the last checkpoint", async (what, change, at) => {
    const out = fresh();
    const { task, called } = toy(change);
    const failed = run(task, { out });
    await expect(failed).rejects.toThrow(XPromptError);
    await expect(failed).rejects.toThrow(
      `the ${what} became NaN at step ${at} (lower optimizer.learningRate)`,
    );
    expect(called.released).toEqual([]);
    await expect(called.streams[0]!.next()).rejects.toThrow("closed");
    const { step } = JSON.parse(await readFile(join(out, "checkpoint", "training.json"), "utf8"));
    expect(step).toBe(5);
  });
});

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}
/** Runs the command line until it exits. */
function xprompt(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}
async function trained(...args: string[]): Promise<RunResult> {
  const { status, stdout, stderr } = await xprompt("train", ...args, "--json");
  expect(status, stderr).toBe(0);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  return JSON.parse(stdout) as RunResult;
}

const stepOf = async (out: string): Promise<number> => {
  const text = await readFile(join(out, "checkpoint", "training.json"), "utf8").catch(() => '{"step":0}');
  return (JSON.parse(text) as { step: number }).step;
};
/** Starts a long run, kills it once it has a checkpoint, and returns the checkpoint's step. */
async function killed(out: string, ...args: string[]): Promise<number> {
  const long = ["--steps=100000", "--out", out];
  const child = spawn(process.execPath, [bin, "train", ...args, ...long], { stdio: "ignore" });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once("exit", (_status, signal) => resolve(signal));
  });
  while ((await stepOf(out)) === 0 && child.exitCode === null) await sleep(5);
  child.kill("SIGKILL");
  expect(await ended).toBe("SIGKILL");
  return stepOf(out);
}

const common = {
  optimizer: { learningRate: 3e-3 },
  schedule: { shape: "constant" },
  threads: 1,
  logEvery: 1,
  evaluateEvery: 1000,
  sheetEvery: 1000,
};
const tokenizer = {
  ...common,
  kind: "tokenizer",
  steps: 60,
  batch: 4,
  model: {
    resolution: 16,
    baseChannels: 4,
    channelMultiplier: [1, 1, 1],
    residualBlocks: 1,
    latentChannels: 4,
    embedDim: 4,
    codes: 16,
    normGroups: 2,
  },
  loss: {},
  text: { merges: 40, xpTokens: 4, tasks: 60 },
  restartEvery: 4,
  checkpointEvery: 7,
};
const transformer = {
  ...common,
  kind: "transformer",
  steps: 40,
  contexts: 2,
  todos: 2,
  model: { hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 2 },
  xprompt: { tokens: 3, maxTextTokens: 4 },
  mix: { families: ["invert", "rotate", "tint"], heldOut: ["rotate"], exampleCounts: [1, 1] },
  heldOutBatches: 1,
  checkpointEvery: 7,
};

describe("xprompt train", () => {
  const at = (name: string) => join(folder, name);
  const recipeFile = async (name: string, recipe: object): Promise<string> => {
    await writeFile(at(name), `export default ${JSON.stringify(recipe)};\n`);
    return at(name);
  };
  /** Mean loss over some steps of a run. */
  const lossOver = async (out: string, from: number, to: number): Promise<number> => {
    const lines = await readMetrics(join(out, "metrics.jsonl"));
    const losses = lines.filter(({ step }) => step > from && step <= to).map(({ loss }) => loss!);
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  };
  const weightsOf = (out: string) => sha256File(join(out, "model", "model.safetensors"), "weights");

  /** Resuming after a kill, with another number of workers, gives the same weights and the same log. */
  async function expectResumes(path: string, out: string): Promise<void> {
    const at = await killed(out, path, "--workers=1");
    expect(existsSync(join(out, "model"))).toBe(false);
    const steps = `--steps=${at + 20}`;
    const wholeOut = `${out}, whole`;
    const whole = await trained(path, "--out", wholeOut, "--workers=0", steps);
    const more = ["--resume", "--workers=2", "--checkpointEvery=20", steps];
    const result = await trained(path, "--out", out, ...more);
    expect(result.digest).toBe(whole.digest);
    expect(await weightsOf(out)).toBe(await weightsOf(wholeOut));
    const losses = async (run: string) =>
      (await readMetrics(join(run, "metrics.jsonl"))).map(({ step, loss }) => [step, loss]);
    expect(await losses(out)).toEqual(await losses(wholeOut));
    expect(await losses(out)).toHaveLength(whole.steps + 1); // step 0: measured before the first
  }

  let tokenizerRun: RunResult;
  let tokenizerPath = "";
  beforeAll(async () => {
    tokenizerPath = await recipeFile("tokenizer.mjs", tokenizer);
    tokenizerRun = await trained(tokenizerPath, "--out", at("tokenizer"), "--workers=0");
  });

  test("trains a decoder further without changing the codes", async () => {
    const model = tokenizerRun.model;
    const path = await recipeFile("decoder.mjs", { ...tokenizer, init: model, train: "decoder" });
    const result = await trained(path, "--out", at("decoder"), "--workers=0");
    const [before, after] = [await readWeights(model, undefined), await readWeights(result.model, undefined)];
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [name, { data }] of after) {
      const unchanged = data.every((value, i) => value === before.get(name)!.data[i]);
      expect(unchanged, name).toBe(!/vqmodel\.(decoder|post_quant_conv)\./.test(name));
    }
    const psnr = async (out: string) =>
      (await readMetrics(join(out, "metrics.jsonl"))).at(-1)!["heldOut.psnr"]!;
    expect(await psnr(at("decoder"))).toBeGreaterThan(await psnr(at("tokenizer")));
    const text = (folder: string) => readFile(join(folder, "tokenizer.json"), "utf8");
    expect(await text(result.model)).toBe(await text(model));
  });

  test("trains a tokenizer that can be used", async () => {
    expect(tokenizerRun).toMatchObject({ steps: 60, seed: 1, model: at("tokenizer/model") });
    expect(await lossOver(at("tokenizer"), 50, 60)).toBeLessThan(
      0.6 * (await lossOver(at("tokenizer"), 0, 5)),
    );
    const { image, text } = await loadTokenizers(tokenizerRun.model, { threads: 1 });
    const grey = { width: 16, height: 16, data: new Float32Array(768).fill(0.5) };
    const [codes] = await image.encode([grey]);
    expect(codes).toHaveLength(16);
    const [picture] = await image.decode([codes!]);
    const mean = picture!.data.reduce((sum, value) => sum + value, 0) / 768;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.2);
    expect(text.decode(text.encode("remove the red ball"))).toBe("remove the red ball");
    expect(text.vocabulary.xp).toHaveLength(4);
    await image.release();
  });

  test("a killed and resumed tokenizer run ends with the same bits", () =>
    expectResumes(tokenizerPath, at("killed tokenizer")));

  describe("a transformer", () => {
    let path = "";
    beforeAll(async () => {
      path = await recipeFile("transformer.mjs", { ...transformer, tokenizers: tokenizerRun.model });
      await trained(path, "--out", at("transformer"), "--workers=0");
    });

    test("learns, and reports seen and unseen families", async () => {
      const [before, after] = [
        await lossOver(at("transformer"), 0, 3),
        await lossOver(at("transformer"), 37, 40),
      ];
      expect(after).toBeLessThan(before - 0.5);
      const last = (await readMetrics(join(at("transformer"), "metrics.jsonl"))).at(-1)!;
      for (const kind of ["seen", "unseen"])
        for (const condition of ["right", "wrong", "none"]) {
          const nats = last[`heldOut.${kind}.${condition}`]!;
          expect(nats).toBeGreaterThan(0);
          expect(nats).toBeLessThan(before);
        }
    });

    test("ends with the same bits after being killed and resumed", () =>
      expectResumes(path, at("killed transformer")));

    describe("refused with one line", () => {
      const refused = async (status: number, ...args: string[]): Promise<string> => {
        const ended = await xprompt("train", path, ...args);
        expect([ended.status, ended.stdout]).toEqual([status, ""]);
        expect(ended.stderr).toMatch(/^xprompt: [^\n]+\n$/);
        return ended.stderr;
      };

      test("over an existing run", async () => {
        const before = await weightsOf(at("transformer"));
        expect(await refused(2, "--out", at("transformer"))).toContain("holds a run (add --resume");
        expect(await weightsOf(at("transformer"))).toBe(before);
      });

      test("without a run to resume", async () => {
        expect(await refused(1, "--out", at("none"), "--resume")).toContain(
          "expected a checkpoint, found none",
        );
        expect(existsSync(at("none"))).toBe(false);
      });

      test("with other settings than the run was started with", async () => {
        const changes = ["--seed=2", "--optimizer.learningRate=1e-3"];
        const line = await refused(1, "--out", at("transformer"), "--resume", ...changes);
        expect(line).toContain("optimizer.learningRate: 0.003 → 0.001; seed: 1 → 2");
      });

      test("when a bit of the checkpoint is wrong, or its end is missing", async () => {
        await cp(at("transformer"), at("damaged"), { recursive: true });
        const tensors = join(at("damaged"), "checkpoint", "state.safetensors");
        const file = await open(tensors, "r+");
        const { size } = await file.stat();
        const byte = Buffer.alloc(1);
        await file.read(byte, 0, 1, size - 50);
        byte[0]! ^= 4;
        await file.write(byte, 0, 1, size - 50);
        await file.close();
        const args = ["--out", at("damaged"), "--resume"];
        expect(await refused(1, ...args)).toContain("the file is damaged");
        await truncate(tensors, size - 100);
        expect(await refused(1, ...args)).toContain("the file is damaged");
      });
    });
  });
});
