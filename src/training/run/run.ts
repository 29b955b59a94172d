/**
 * @file The training loop: fetch a batch, step, record; in one process, or in several that share every batch. A run
 * folder holds `recipe.json`, `metrics.jsonl` and its `curves.svg`, TensorBoard events, contact sheets in `sheets/`,
 * `checkpoint/` (to resume) and `model/` (to use).
 */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Interrupted, ReportedElsewhere, UsageError, XPromptError } from "../../errors.ts";
import { attempt } from "../../runtime/files.ts";
import { workWith } from "../../runtime/resources.ts";
import { isS3 } from "../../runtime/storage/s3.ts";
import { alone, type Collective, checkSame, sumOver, together } from "../distributed/collective.ts";
import { learningRate } from "../optimizer/schedule.ts";
import { recipeDigest } from "../recipe.ts";
import { hasCheckpoint, loadCheckpoint } from "./checkpoint.ts";
import { Recorder } from "./recorder.ts";
import { lockRun } from "./run-lock.ts";
import type { RunOptions, RunResult, StepOutcome, TrainingTask } from "./task.ts";

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
  if (!found && !resume && existsSync(join(out, "model")))
    throw new UsageError(
      `training into ${out}: expected a new folder, got one with a folder "model", which the run would replace (choose another --out)`,
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
 * checkpoint first. Of several processes, process 0 alone reads and writes the folder, and an abort in one stops all.
 * @throws UsageError, XPromptError as `checkRunFolder`, `lockRun` and `loadCheckpoint` do, and when the loss or the norm of
 * the gradient is not finite
 * @throws ReportedElsewhere when another process throws the error
 */
export async function runTraining<Batch>(task: TrainingTask<Batch>, options: RunOptions): Promise<RunResult> {
  const { recipe, state, skipped, collective = alone } = task;
  const { out, resume = false, signal, mirror } = options;
  const started = performance.now();
  const leads = collective.rank === 0;
  return workWith(async (resources) => {
    await together(collective, async () => {
      if (!leads) return;
      await checkRunFolder(out, resume);
      resources.defer(await lockRun(out));
      if (resume) await load(task, out);
    });
    await shareStart(task, collective);
    const recorder = await together(collective, async () =>
      leads ? resources.own(await Recorder.open(task, options)) : undefined,
    );
    let loss = (await recorder?.lastLoss()) ?? Number.NaN;
    const stream = resources.own(task.batches(state.step));
    if (state.step === 0) await recorder?.begin();
    while (state.step < recipe.steps) {
      if ((await sumOver(collective, Number(signal?.aborted ?? false))) > 0) {
        await recorder?.save();
        signal?.throwIfAborted();
        throw new Interrupted();
      }
      const rate = learningRate(recipe.schedule, state.step, recipe.steps, recipe.optimizer.learningRate);
      const done = await task.step(await stream.next(), rate);
      loss = done.metrics.loss!;
      checkFinite(done, state.step, leads);
      if (state.step % recipe.checkpointEvery === 0) await checkWeights(task, collective);
      await recorder?.record(done, rate);
    }
    await checkWeights(task, collective);
    const checkpoint = (await recorder?.save()) ?? join(out, "checkpoint");
    const model = join(out, "model");
    if (leads) await task.release(model);
    if (leads) await mirror?.finish(out, model);
    const seconds = (performance.now() - started) / 1000;
    const heldOut = (await recorder?.heldOut()) ?? { before: {}, after: {} };
    const broken = await sumOver(collective, skipped?.size ?? 0);
    return {
      ...{ steps: state.step, loss, heldOut, checkpoint, model },
      ...{ digest: state.digest(), skipped: broken, seconds },
    };
  });
}

const load = <Batch>(
  { state, extras, recipe, inputs, phases, collective }: TrainingTask<Batch>,
  out: string,
) => loadCheckpoint(out, state, extras, recipe, inputs, phases, collective?.size);

/** Gives every process the state of process 0. @throws XPromptError when the processes have different inputs */
async function shareStart<Batch>(task: TrainingTask<Batch>, collective: Collective): Promise<void> {
  if (collective.size === 1) return;
  const { recipe, state, extras, inputs } = task;
  const settings = { ...recipe, threads: 0, workers: 0, data: null };
  const all = JSON.stringify([recipeDigest(settings), state.frozen?.checksum, inputs]);
  const advice = "give all processes the same settings and files";
  await checkSame(collective, "recipe, models and data sets", all, advice);
  // Two numbers: a float32 holds whole numbers up to 2^24 alone.
  const step = Float32Array.of(Math.floor(state.step / STEP_DIGIT), state.step % STEP_DIGIT);
  const arrays = [...[...state.buffers.values()].map(({ data }) => data), ...Object.values(extras), step];
  for (const values of arrays) await collective.broadcast(values);
  state.step = step[0]! * STEP_DIGIT + step[1]!;
}
const STEP_DIGIT = 2 ** 20;

/** Processors of different kinds may round differently. The weights of the processes would then drift apart. */
async function checkWeights<Batch>({ state }: TrainingTask<Batch>, collective: Collective): Promise<void> {
  if (collective.size === 1) return;
  const advice = "use processors of one kind and the same versions, and resume from the last checkpoint";
  await checkSame(collective, `weights after step ${state.step}`, state.digest(), advice);
}

/**
 * The loss is that of the weights before the step; a gradient that is not finite spoils those after it. All processes see
 * the same values. Process 0 reports them.
 */
function checkFinite(
  { metrics: { loss, gradientNorm = 0 } }: StepOutcome,
  step: number,
  leads: boolean,
): void {
  const wrong = Object.entries({ loss, "gradient norm": gradientNorm }).find(
    ([, value]) => !Number.isFinite(value),
  );
  if (!wrong) return;
  const [name, value] = wrong;
  throw leads
    ? new XPromptError(`training: the ${name} became ${value} at step ${step} (lower optimizer.learningRate)`)
    : new ReportedElsewhere();
}
