/**
 * @file A training run, whatever is trained: batches in, steps, measurements, sheets to look at, checkpoints. A run
 * folder holds `recipe.json`, `metrics.jsonl` and its `curves.svg`, TensorBoard events, `sheets/`, `checkpoint/` (to
 * resume from) and `model/` (to use).
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { UsageError, XPromptError } from "../../errors.ts";
import { formatBytes } from "../../format.ts";
import { encodePng, type Image } from "../../image/index.ts";
import { Progress } from "../../progress.ts";
import { attempt, writeFileAtomic } from "../../runtime/files.ts";
import { workWith } from "../../runtime/resources.ts";
import { devices } from "../../runtime/session-options.ts";
import { defaultThreads, threadCount } from "../../runtime/threads.ts";
import { optimizerSchema } from "../optimizer/optimizer.ts";
import { learningRate, scheduleSchema } from "../optimizer/schedule.ts";
import { type Extras, hasCheckpoint, loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { curvesSvg, HELD_OUT } from "./curves.ts";
import { MetricsLog, readMetrics } from "./metrics.ts";
import type { TrainingState } from "./state.ts";
import { EventWriter } from "./tensorboard.ts";
import type { SampleStream } from "./workers.ts";

/** Settings that every kind of recipe has. */
export const runSettings = {
  seed: z.int().min(0).default(1),
  steps: z.int().min(1),
  optimizer: optimizerSchema.prefault({}),
  schedule: scheduleSchema.prefault({}),
  /** Steps between lines of metrics. */
  logEvery: z.int().min(1).default(10),
  /** Steps between evaluations on held-out samples. */
  evaluateEvery: z.int().min(1).default(250),
  /** Steps between sheets of pictures. */
  sheetEvery: z.int().min(1).default(500),
  /** Steps between checkpoints. */
  checkpointEvery: z.int().min(1).default(250),
  /** Threads that make data. */
  workers: z.int().min(0).max(64).default(1),
  /**
   * Threads that compute. Defaults to the available cores, at most 8. The same results need the same number: name it in
   * a recipe that is to be repeated on other machines.
   */
  threads: threadCount.default(defaultThreads),
  device: z.enum(devices).default("cpu"),
};

export type RunSettings = z.output<z.ZodObject<typeof runSettings>>;

/** What is trained, made ready: the run only drives it. */
export interface TrainingTask<Batch> {
  readonly recipe: RunSettings & { readonly kind: string };
  readonly state: TrainingState;
  /** What it will take of memory, bytes, about. */
  readonly memory: number;
  /** What checkpoints keep besides the state. */
  readonly extras: Extras;
  /** Shares of the run at which something begins, such as a mean of the weights. Until then the run's end may move. */
  readonly phases?: readonly number[];
  /** Digests of the data sets that are trained on: a run is resumed with the very same. */
  readonly sets?: readonly string[];
  /** Why records of data sets were skipped so far, by record. */
  readonly skipped?: ReadonlyMap<string, string>;
  /** Text or image tokens, or pictures, in a batch: the unit of the rate that is shown. */
  readonly unit: "tokens" | "pictures";
  /** Batches from a step on. */
  batches(from: number): SampleStream<Batch>;
  /** One step; returns its measurements, `loss` among them, and how many units it worked on. */
  step(
    batch: Batch,
    learningRate: number,
  ): Promise<{ readonly metrics: Record<string, number>; readonly units: number }>;
  /** Measurements on held-out samples. */
  evaluate(): Promise<Record<string, number>>;
  /** A picture of what the model does now, if it can make any. */
  sheet(): Promise<Image | undefined>;
  /** Writes the model for use, as a new folder or over an older one. */
  release(folder: string): Promise<void>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly out: string;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
}

export interface RunResult {
  readonly steps: number;
  /** Of the last batch, which is of one kind: runs are compared by `heldOut`. */
  readonly loss: number;
  /** Measurements on held-out samples: the run's first, at step 0, and its last. */
  readonly heldOut: {
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  };
  /** Folder to resume from. */
  readonly checkpoint: string;
  /** Folder to use with `--model`. */
  readonly model: string;
  /** SHA-256 of the weights. */
  readonly digest: string;
  /** Broken records of data sets that this part of the run came upon and left out. */
  readonly skipped: number;
  readonly seconds: number;
}

/**
 * Whether a run may start in a folder, or go on there: known before anything is made ready.
 * @throws UsageError when it is a file, or holds a run and is not to be resumed
 * @throws XPromptError when it holds none and is, or there is a file on the way to it
 */
export async function checkRunFolder(out: string, resume: boolean): Promise<void> {
  await checkNoFile(out);
  const found = await hasCheckpoint(out);
  if (found && !resume)
    throw new UsageError(
      `training into ${out}: it holds a run already (add --resume to go on with it, or choose another --out)`,
    );
  if (resume && !found)
    throw new XPromptError(
      `resuming ${out}: expected a checkpoint, found none (leave out --resume to start)`,
    );
}

async function checkNoFile(out: string): Promise<void> {
  const doing = `training into ${out}`;
  const found = await attempt(doing, out, () =>
    stat(out).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    }),
  );
  if (found && !found.isDirectory())
    throw new UsageError(`${doing}: expected a folder, got a file (choose another --out)`);
}

/**
 * Trains until the recipe's last step, from the start or from the run folder's checkpoint. An aborted run
 * writes a checkpoint first.
 * @throws XPromptError when the folder holds a run already and `resume` is not set, or holds none and it is.
 */
export async function runTraining<Batch>(
  task: TrainingTask<Batch>,
  { out, resume = false, signal }: RunOptions,
): Promise<RunResult> {
  const { recipe, state, extras, sets, skipped = new Map<string, string>() } = task;
  const started = performance.now();
  await checkRunFolder(out, resume);
  if (resume) await loadCheckpoint(out, state, extras, recipe, sets, task.phases);
  await attempt(`making ${out}`, out, () => mkdir(join(out, "sheets"), { recursive: true }));
  await writeFileAtomic(join(out, "recipe.json"), `${JSON.stringify(recipe, null, 2)}\n`);

  const log = join(out, "metrics.jsonl");
  let loss = resume ? await lastLoss(log, state.step) : Number.NaN;
  return workWith(async (resources) => {
    const metrics = resources.own(await MetricsLog.open(log, resume ? { resumeAt: state.step } : {}));
    const events = resources.own(await EventWriter.open(out, resume ? { resumeAt: state.step } : {}));
    const progress = new Progress({
      label: `training ${recipe.kind}`,
      total: recipe.steps,
      start: state.step,
    });
    progress.note(
      `${state.size} parameters, about ${formatBytes(task.memory)} of memory, seed ${recipe.seed}`,
    );
    resources.defer(async () => {
      progress.stop();
      if (skipped.size > 0)
        progress.note(`skipped ${skipped.size} broken records of data sets; the first: ${firstOf(skipped)}`);
    });
    const stream = resources.own(task.batches(state.step));
    const record = async (values: Record<string, number>, prefix: string) => {
      const named = Object.entries(values).map(([name, value]) => [`${prefix}/${name}`, value]);
      await events.scalars(state.step, Object.fromEntries(named));
    };
    let toldOfSkipped = false;
    let saved = state.step;
    const save = async () => {
      await metrics.flush();
      saved = state.step;
      return saveCheckpoint(out, state, extras, recipe, sets);
    };
    const evaluate = async (): Promise<Record<string, number>> => {
      const measured = await task.evaluate();
      await record(measured, "held out");
      return Object.fromEntries(Object.entries(measured).map(([name, value]) => [HELD_OUT + name, value]));
    };
    const drawCurves = async () =>
      writeFileAtomic(join(out, "curves.svg"), curvesSvg(await readMetrics(log), `training ${recipe.kind}`));
    if (state.step === 0) {
      await metrics.append(0, await evaluate());
      await drawCurves();
    }
    let [units, since] = [0, performance.now()];
    while (state.step < recipe.steps) {
      if (signal?.aborted && state.step > saved) await save();
      signal?.throwIfAborted();
      const rate = learningRate(recipe.schedule, state.step, recipe.steps, recipe.optimizer.learningRate);
      const done = await task.step(await stream.next(), rate);
      loss = done.metrics.loss!;
      units += done.units;
      if (skipped.size > 0 && !toldOfSkipped) progress.note(`skipping broken records: ${firstOf(skipped)}`);
      toldOfSkipped = skipped.size > 0;
      if (!Number.isFinite(loss))
        throw new XPromptError(
          `training: the loss became ${loss} at step ${state.step} (lower optimizer.learningRate)`,
        );
      const last = state.step === recipe.steps;
      const due = (every: number) => last || state.step % every === 0;
      const speed = units / ((performance.now() - since) / 1000);
      progress.update(state.step, { loss: loss.toFixed(3), [`${task.unit}/s`]: Math.round(speed) });
      const line: Record<string, number> = {};
      if (due(recipe.logEvery)) {
        Object.assign(line, done.metrics, { learningRate: rate, [`${task.unit}PerSecond`]: speed });
        await record(line, "train");
        [units, since] = [0, performance.now()];
      }
      if (due(recipe.evaluateEvery)) Object.assign(line, await evaluate());
      const sheet = due(recipe.sheetEvery) ? await task.sheet() : undefined;
      if (sheet) {
        const png = await encodePng(sheet);
        await writeFileAtomic(join(out, "sheets", `step-${String(state.step).padStart(6, "0")}.png`), png);
        await events.image(state.step, "sheet", png);
      }
      if (Object.keys(line).length > 0) await metrics.append(state.step, line);
      if (due(recipe.evaluateEvery)) await drawCurves();
      if (due(recipe.checkpointEvery)) await save();
    }
    const checkpoint = saved === state.step ? join(out, "checkpoint") : await save();
    const model = join(out, "model");
    await task.release(model);
    const seconds = (performance.now() - started) / 1000;
    const digest = state.digest();
    const heldOut = await heldOutFigures(log);
    return { steps: state.step, loss, heldOut, checkpoint, model, digest, skipped: skipped.size, seconds };
  });
}

const firstOf = (skipped: ReadonlyMap<string, string>): string => [...skipped.values()][0]!;

/** The first and the last held-out measurements of a run. */
async function heldOutFigures(log: string): Promise<RunResult["heldOut"]> {
  const measured = (await readMetrics(log))
    .map((line) => Object.entries(line).filter(([name]) => name.startsWith(HELD_OUT)))
    .filter((entries) => entries.length > 0)
    .map((entries) =>
      Object.fromEntries(entries.map(([name, value]) => [name.slice(HELD_OUT.length), value])),
    );
  return { before: measured[0] ?? {}, after: measured.at(-1) ?? {} };
}

/** The last loss that was logged up to a step: all that a run which is resumed at its end has to say. */
async function lastLoss(log: string, step: number): Promise<number> {
  const lines = await readMetrics(log);
  return lines.findLast((line) => line.step <= step && line.loss !== undefined)?.loss ?? Number.NaN;
}
