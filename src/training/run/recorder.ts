/**
 * @file Writes the outputs of a run: metrics and curves, TensorBoard events, contact sheets and checkpoints in its folder,
 * copies on other storage, progress on standard error. Of several processes, process 0 alone has a recorder.
 */
import { join } from "node:path";
import { firstLineOf } from "../../errors.ts";
import { formatBytes } from "../../format.ts";
import { encodePng } from "../../image/index.ts";
import { Progress } from "../../progress.ts";
import { makeFolder, writeFileAtomic, writeJson } from "../../runtime/files.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { CHECKPOINT, saveCheckpoint } from "./checkpoint.ts";
import { curvesSvg, HELD_OUT } from "./curves.ts";
import { MetricsLog, readMetrics } from "./metrics.ts";
import type { RunOptions, RunResult, StepOutcome, TrainingTask } from "./task.ts";
import { EventWriter } from "./tensorboard.ts";

interface Outputs {
  readonly metrics: MetricsLog;
  readonly events: EventWriter;
  readonly progress: Progress;
}

export class Recorder<Batch> {
  /** The step of the last checkpoint. */
  private saved: number;
  private units = 0;
  private since = performance.now();
  private hasNotedSkipped = false;

  private constructor(
    private readonly task: TrainingTask<Batch>,
    private readonly options: RunOptions,
    private readonly outputs: Outputs,
    private readonly resources: Resources,
  ) {
    this.saved = task.state.step;
  }

  /** Opens the outputs. A resumed run keeps the metrics up to the step of its state. */
  static open<Batch>(task: TrainingTask<Batch>, options: RunOptions): Promise<Recorder<Batch>> {
    return buildWith(async (resources) => {
      const { recipe, state } = task;
      const { out, resume, mirror } = options;
      await makeFolder(join(out, "sheets"));
      await writeJson(join(out, "recipe.json"), recipe);
      await mirror?.begin(out);
      const from = resume ? { resumeAt: state.step } : {};
      const metrics = resources.own(await MetricsLog.open(join(out, "metrics.jsonl"), from));
      // Of a run that ended before its first checkpoint, TensorBoard shows nothing any more.
      const events = resources.own(await EventWriter.open(out, { resumeAt: resume ? state.step : -1 }));
      const label = `training ${recipe.kind}`;
      const progress = new Progress({ label, total: recipe.steps, start: state.step });
      const { size = 1 } = task.collective ?? {};
      const processes = size > 1 ? ` in each of ${size} processes` : "";
      progress.note(
        `${state.size} parameters, about ${formatBytes(task.memory)} of memory${processes}, seed ${recipe.seed}`,
      );
      const recorder = new Recorder(task, options, { metrics, events, progress }, resources);
      resources.defer(async () => recorder.stop());
      return recorder;
    });
  }

  /** The last logged loss: the result of a finished run that is resumed. */
  async lastLoss(): Promise<number> {
    const { step } = this.task.state;
    const lines = await readMetrics(this.log);
    return lines.findLast((line) => line.step <= step && line.loss !== undefined)?.loss ?? Number.NaN;
  }

  /** Measures the model before the first step. */
  async begin(): Promise<void> {
    await this.outputs.metrics.append(0, await this.evaluate());
    await this.drawCurves();
    this.restart();
  }

  /** Logs, measures, draws and saves what is due after a step. */
  async record(done: StepOutcome, learningRate: number): Promise<void> {
    const { recipe, state, unit } = this.task;
    const { metrics, progress } = this.outputs;
    this.units += done.units;
    this.noteSkipped();
    const last = state.step === recipe.steps;
    const due = (every: number) => last || state.step % every === 0;
    const speed = this.units / ((performance.now() - this.since) / 1000);
    progress.update(state.step, { loss: done.metrics.loss!.toFixed(3), [`${unit}/s`]: Math.round(speed) });
    const line: Record<string, number> = {};
    if (due(recipe.logEvery)) {
      Object.assign(line, done.metrics, { learningRate, [`${unit}PerSecond`]: speed });
      await this.scalars(line, "train");
      this.restart();
    }
    const paused = performance.now();
    if (due(recipe.evaluateEvery)) Object.assign(line, await this.evaluate());
    if (due(recipe.sheetEvery)) await this.drawSheet();
    if (Object.keys(line).length > 0) await metrics.append(state.step, line);
    if (due(recipe.evaluateEvery)) await this.drawCurves();
    if (due(recipe.checkpointEvery)) await this.save();
    // The speed is that of steps, without what was measured and written here.
    this.since += performance.now() - paused;
  }

  /** Writes a checkpoint of the present step, unless it is there; returns its folder. */
  async save(): Promise<string> {
    const { state, extras, recipe, inputs, collective } = this.task;
    const { out, mirror } = this.options;
    if (this.saved === state.step) return join(out, CHECKPOINT);
    const { metrics, progress } = this.outputs;
    await metrics.flush();
    this.saved = state.step;
    const checkpoint = await saveCheckpoint(out, state, extras, recipe, inputs, collective?.size);
    // The run need not end when storage cannot be reached for a while.
    await mirror?.save(out).catch((error: unknown) => {
      progress.note(`could not copy the checkpoint, the next one will be: ${firstLineOf(error)}`);
    });
    return checkpoint;
  }

  /** The first and the last held-out measurements of the run. */
  async heldOut(): Promise<RunResult["heldOut"]> {
    const measured = (await readMetrics(this.log))
      .map((line) => Object.entries(line).filter(([name]) => name.startsWith(HELD_OUT)))
      .filter((entries) => entries.length > 0)
      .map((entries) =>
        Object.fromEntries(entries.map(([name, value]) => [name.slice(HELD_OUT.length), value])),
      );
    return { before: measured[0] ?? {}, after: measured.at(-1) ?? {} };
  }

  close(): Promise<void> {
    return this.resources.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private get log(): string {
    return join(this.options.out, "metrics.jsonl");
  }

  private async scalars(values: Record<string, number>, prefix: string): Promise<void> {
    const named = Object.entries(values).map(([name, value]) => [`${prefix}/${name}`, value]);
    await this.outputs.events.scalars(this.task.state.step, Object.fromEntries(named));
  }

  private async evaluate(): Promise<Record<string, number>> {
    const measured = await this.task.evaluate();
    await this.scalars(measured, "held out");
    return Object.fromEntries(Object.entries(measured).map(([name, value]) => [HELD_OUT + name, value]));
  }

  private async drawSheet(): Promise<void> {
    const { step } = this.task.state;
    const sheet = await this.task.sheet();
    if (!sheet) return;
    const png = await encodePng(sheet);
    await writeFileAtomic(join(this.options.out, "sheets", `step-${String(step).padStart(6, "0")}.png`), png);
    await this.outputs.events.image(step, "sheet", png);
  }

  private async drawCurves(): Promise<void> {
    const svg = curvesSvg(await readMetrics(this.log), `training ${this.task.recipe.kind}`);
    await writeFileAtomic(join(this.options.out, "curves.svg"), svg);
  }

  /** Begins to measure the rate anew. */
  private restart(): void {
    [this.units, this.since] = [0, performance.now()];
  }

  private noteSkipped(): void {
    const [first] = this.task.skipped?.values() ?? [];
    if (first !== undefined && !this.hasNotedSkipped)
      this.outputs.progress.note(`skipping broken records: ${first}`);
    this.hasNotedSkipped = first !== undefined;
  }

  private stop(): void {
    const { progress } = this.outputs;
    progress.stop();
    const [first] = this.task.skipped?.values() ?? [];
    if (first !== undefined)
      progress.note(`skipped ${this.task.skipped!.size} broken records of data sets; the first: ${first}`);
  }
}
