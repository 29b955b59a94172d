/**
 * @file The training loop: fetch batches, step, log, evaluate, checkpoint. A run folder holds `recipe.json`,
 * `metrics.jsonl` and its `curves.svg`, TensorBoard events, contact sheets in `sheets/`, `checkpoint/` (to resume) and
 * `model/` (to use).
 */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { firstLineOf, UsageError, XPromptError } from "../../errors.ts";
import { formatBytes } from "../../format.ts";
import { encodePng, type Image } from "../../image/index.ts";
import { Progress } from "../../progress.ts";
import { attempt, writeFileAtomic } from "../../runtime/files.ts";
import { workWith } from "../../runtime/resources.ts";
import { devices } from "../../runtime/session-options.ts";
import { isS3 } from "../../runtime/storage/s3.ts";
import { defaultThreads, threadCount } from "../../runtime/threads.ts";
import { optimizerSchema } from "../optimizer/optimizer.ts";
import { learningRate, scheduleSchema } from "../optimizer/schedule.ts";
import { type Extras, hasCheckpoint, loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { curvesSvg, HELD_OUT } from "./curves.ts";
import { MetricsLog, readMetrics } from "./metrics.ts";
import type { Mirror } from "./mirror.ts";
import type { TrainingState } from "./state.ts";
import { EventWriter } from "./tensorboard.ts";
import type { SampleStream } from "./workers.ts";

/** Settings of every kind of recipe. */
export const runSettings = {
  seed: z.int().min(0).default(1),
  steps: z.int().min(1),
  optimizer: optimizerSchema.prefault({}),
  schedule: scheduleSchema.prefault({}),
  /** Steps between lines of metrics. */
  logEvery: z.int().min(1).default(10),
  /** Steps between evaluations on held-out samples. */
  evaluateEvery: z.int().min(1).default(250),
  /** Steps between contact sheets. */
  sheetEvery: z.int().min(1).default(500),
  /** Steps between checkpoints. */
  checkpointEvery: z.int().min(1).default(250),
  /** Worker threads that make batches. */
  workers: z.int().min(0).max(64).default(1),
  /**
   * Compute threads. Defaults to the number of available cores, at most 8. Results depend on this number: set it in a
   * recipe that others should reproduce exactly.
   */
  threads: threadCount.default(defaultThreads),
  device: z.enum(devices).default("cpu"),
};

export type RunSettings = z.output<z.ZodObject<typeof runSettings>>;

/** A prepared training task. The training loop drives it. */
export interface TrainingTask<Batch> {
  readonly recipe: RunSettings & { readonly kind: string };
  readonly state: TrainingState;
  /** Estimated memory in bytes. */
  readonly memory: number;
  /** Arrays that checkpoints store besides the state. */
  readonly extras: Extras;
  /**
   * Shares of the run at which a phase begins, such as weight averaging. Until the first one begins, the number of steps
   * may still change.
   */
  readonly phases?: readonly number[];
  /** Digests of the training sets. A run resumes only with the same sets. */
  readonly sets?: readonly string[];
  /** Reasons for skipping broken records of data sets, by record. */
  readonly skipped?: ReadonlyMap<string, string>;
  /** Unit of the displayed throughput. */
  readonly unit: "tokens" | "pictures";
  /** The batches, starting at step `from`. */
  batches(from: number): SampleStream<Batch>;
  /** Runs one step. Returns its metrics, including `loss`, and the number of units in the batch. */
  step(
    batch: Batch,
    learningRate: number,
  ): Promise<{ readonly metrics: Record<string, number>; readonly units: number }>;
  /** Measures held-out samples. */
  evaluate(): Promise<Record<string, number>>;
  /** A contact sheet of the current model's results, if it can generate pictures. */
  sheet(): Promise<Image | undefined>;
  /** Writes the model to a new folder, or replaces an older one. */
  release(folder: string): Promise<void>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly out: string;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Where checkpoints and the model are copied to. */
  readonly mirror?: Mirror;
}

export interface RunResult {
  readonly steps: number;
  /** Loss of the last batch. It depends on the kind of that batch: compare runs by `heldOut`. */
  readonly loss: number;
  /** Held-out measurements at step 0 and after the last step. */
  readonly heldOut: {
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  };
  /** Folder of the last checkpoint. */
  readonly checkpoint: string;
  /** Folder for `--model`. */
  readonly model: string;
  /** SHA-256 of the weights. */
  readonly digest: string;
  /** Number of broken records that this run skipped since it was started or resumed. */
  readonly skipped: number;
  readonly seconds: number;
}

/**
 * Checks that a run can start or resume in a folder, before the task is prepared.
 * @throws UsageError when `out` is a file, or holds a run and `resume` is false
 * @throws XPromptError when `resume` is true and there is no checkpoint, or when a parent of `out` is a file
 */
export async function checkRunFolder(out: string, resume: boolean): Promise<void> {
  if (isS3(out))
    throw new UsageError(
      `training into ${out}: expected a folder, got object storage (choose a folder for --out, and add --mirror ${out})`,
    );
  await checkNoFile(out);
  const found = await hasCheckpoint(out);
  if (found && !resume)
    throw new UsageError(
      `training into ${out}: expected a new folder, got one that holds a run (add --resume to continue it, or choose another --out)`,
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
 * Trains until the recipe's last step, from the start or from the run folder's checkpoint. An aborted run saves a
 * checkpoint first.
 * @throws UsageError, XPromptError as `checkRunFolder` and `loadCheckpoint` do, and when the loss is not finite
 */
export async function runTraining<Batch>(
  task: TrainingTask<Batch>,
  { out, resume = false, signal, mirror }: RunOptions,
): Promise<RunResult> {
  const { recipe, state, extras, sets, skipped = new Map<string, string>() } = task;
  const started = performance.now();
  await checkRunFolder(out, resume);
  if (resume) await loadCheckpoint(out, state, extras, recipe, sets, task.phases);
  await attempt(`making ${out}`, out, () => mkdir(join(out, "sheets"), { recursive: true }));
  await writeFileAtomic(join(out, "recipe.json"), `${JSON.stringify(recipe, null, 2)}\n`);

  await mirror?.begin(out);
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
      const checkpoint = await saveCheckpoint(out, state, extras, recipe, sets);
      // The run need not end when storage cannot be reached for a while.
      await mirror?.save(out).catch((error: unknown) => {
        progress.note(`could not copy the checkpoint, the next one will be: ${firstLineOf(error)}`);
      });
      return checkpoint;
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
    await mirror?.finish(out, model);
    const seconds = (performance.now() - started) / 1000;
    const digest = state.digest();
    const heldOut = await heldOutFigures(log);
    return { steps: state.step, loss, heldOut, checkpoint, model, digest, skipped: skipped.size, seconds };
  });
}

const firstOf = (skipped: ReadonlyMap<string, string>): string => [...skipped.values()][0]!;

/** The first and the last held-out measurements in a metrics file. */
async function heldOutFigures(log: string): Promise<RunResult["heldOut"]> {
  const measured = (await readMetrics(log))
    .map((line) => Object.entries(line).filter(([name]) => name.startsWith(HELD_OUT)))
    .filter((entries) => entries.length > 0)
    .map((entries) =>
      Object.fromEntries(entries.map(([name, value]) => [name.slice(HELD_OUT.length), value])),
    );
  return { before: measured[0] ?? {}, after: measured.at(-1) ?? {} };
}

/** The last logged loss up to a step: the result of a finished run that is resumed. */
async function lastLoss(log: string, step: number): Promise<number> {
  const lines = await readMetrics(log);
  return lines.findLast((line) => line.step <= step && line.loss !== undefined)?.loss ?? Number.NaN;
}
