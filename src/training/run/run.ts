/**
 * @file The training loop: fetch a batch, step, record; in one process or in several that share every batch. A run
 * folder holds `recipe.json`, `metrics.jsonl` and its `curves.svg`, TensorBoard events, `sheets/`, `checkpoint/` (to
 * resume from) and `model/` (to use).
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Interrupted, ReportedElsewhere, UsageError, XPromptError } from "../../errors.ts";
import type { Image } from "../../image/index.ts";
import { attempt } from "../../runtime/files.ts";
import { workWith } from "../../runtime/resources.ts";
import { devices } from "../../runtime/session.ts";
import { defaultThreads, threadCount } from "../../runtime/threads.ts";
import { alone, type Collective, checkSame, sumOver, together } from "../distributed/collective.ts";
import { optimizerSchema } from "../optimizer/optimizer.ts";
import { learningRate, scheduleSchema } from "../optimizer/schedule.ts";
import { recipeDigest } from "../recipe.ts";
import { type Extras, hasCheckpoint, loadCheckpoint } from "./checkpoint.ts";
import { Recorder } from "./recorder.ts";
import type { TrainingState } from "./state.ts";
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
   * Threads that compute. Defaults to the available cores, at most 8, shared with other processes that `mpirun` started
   * on this machine. The same results need the same number: name it in a recipe that is to be repeated on other machines.
   */
  threads: threadCount.default(defaultThreads),
  device: z.enum(devices).default("cpu"),
};

export type RunSettings = z.output<z.ZodObject<typeof runSettings>>;

/** A step's measurements, `loss` among them, and how many units it worked on: of the whole batch. */
export interface StepOutcome {
  readonly metrics: Readonly<Record<string, number>>;
  readonly units: number;
}

/** What is trained, made ready: the run only drives it. */
export interface TrainingTask<Batch> {
  readonly recipe: RunSettings & { readonly kind: string };
  readonly state: TrainingState;
  /** The processes that share its batches; none by default. */
  readonly collective?: Collective;
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
  /** One step on this process's part of a batch. */
  step(batch: Batch, learningRate: number): Promise<StepOutcome>;
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
 * Trains until the recipe's last step, from the start or from the run folder's checkpoint. A run that is aborted in one
 * of its processes stops in all of them, and writes a checkpoint first. Process 0 alone reads and writes the folder.
 * @throws XPromptError when the folder holds a run already and `resume` is not set, or holds none and it is.
 */
export async function runTraining<Batch>(
  task: TrainingTask<Batch>,
  { out, resume = false, signal }: RunOptions,
): Promise<RunResult> {
  const { recipe, state, skipped, collective = alone } = task;
  const started = performance.now();
  const leads = collective.rank === 0;
  await together(collective, async () => {
    if (leads) await checkRunFolder(out, resume);
    if (leads && resume) await loadRun(task, out);
  });
  await shareStart(task, collective);
  return workWith(async (resources) => {
    const recorder = await together(collective, async () =>
      leads ? resources.own(await Recorder.open(task, out, resume)) : undefined,
    );
    let loss = (await recorder?.lastLoss()) ?? Number.NaN;
    const stream = resources.own(task.batches(state.step));
    if (state.step === 0) await recorder?.begin();
    while (state.step < recipe.steps) {
      if (await sumOver(collective, Number(signal?.aborted ?? false))) {
        await recorder?.save();
        signal?.throwIfAborted();
        throw new Interrupted();
      }
      const rate = learningRate(recipe.schedule, state.step, recipe.steps, recipe.optimizer.learningRate);
      const done = await task.step(await stream.next(), rate);
      loss = done.metrics.loss!;
      if (!Number.isFinite(loss)) throw notFinite(loss, state.step, leads);
      if (state.step % recipe.checkpointEvery === 0) await checkWeights(task, collective);
      await recorder?.record(done, rate);
    }
    await checkWeights(task, collective);
    const checkpoint = (await recorder?.save()) ?? join(out, "checkpoint");
    const model = join(out, "model");
    if (leads) await task.release(model);
    const seconds = (performance.now() - started) / 1000;
    const heldOut = (await recorder?.heldOut()) ?? { before: {}, after: {} };
    const broken = await sumOver(collective, skipped?.size ?? 0);
    return {
      ...{ steps: state.step, loss, heldOut, checkpoint, model },
      ...{ digest: state.digest(), skipped: broken, seconds },
    };
  });
}

const loadRun = <Batch>(
  { state, extras, recipe, sets, phases, collective }: TrainingTask<Batch>,
  out: string,
) => loadCheckpoint(out, state, extras, recipe, sets, phases, collective?.size);

/** Every process begins with what process 0 has. */
async function shareStart<Batch>(task: TrainingTask<Batch>, collective: Collective): Promise<void> {
  if (collective.size === 1) return;
  const { recipe, state, extras, sets = [] } = task;
  const inputs = [recipeDigest({ ...recipe, threads: 0, workers: 0 }), state.frozen?.checksum, ...sets];
  const advice = "give all processes the same settings and files";
  await checkSame(collective, "recipe, models and data sets", inputs.join(), advice);
  const step = Float32Array.of(state.step);
  const arrays = [...[...state.buffers.values()].map(({ data }) => data), ...Object.values(extras), step];
  for (const values of arrays) await collective.broadcast(values);
  state.step = step[0]!;
}

/** Different processors may round differently; then a checkpoint would not be of the run of all processes. */
async function checkWeights<Batch>({ state }: TrainingTask<Batch>, collective: Collective): Promise<void> {
  if (collective.size === 1) return;
  const advice = "use processors of one kind, and the same versions; go on from the last checkpoint";
  await checkSame(collective, `weights after step ${state.step}`, state.digest(), advice);
}

/** The loss is the same in all processes: one of them reports it. */
const notFinite = (loss: number, step: number, leads: boolean): Error =>
  leads
    ? new XPromptError(`training: the loss became ${loss} at step ${step} (lower optimizer.learningRate)`)
    : new ReportedElsewhere();
