/**
 * @file The training steps of the transformer, one per batch shape. All share one state. Windows and whole pictures are
 * phases of a run, and only the graphs of one phase are in memory.
 */
import type { DecoderConfig } from "../../chameleon/checkpoint/config.ts";
import type { Graph } from "../../graph/index.ts";
import { Random } from "../../random.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import type { Collective } from "../distributed/collective.ts";
import { type StepPlan, StepPlanner } from "../distributed/step.ts";
import type { Plan } from "../run/plan.ts";
import type { TrainingState } from "../run/state.ts";
import type { StepResult } from "../run/step.ts";
import type { BatchShape, PackedBatch } from "./data.ts";
import { feedsOf, objective, predictions, type Terms, weightOf } from "./objective.ts";
import type { TransformerRecipe } from "./recipe.ts";
import { ScheduledSampling } from "./scheduled-sampling.ts";

interface Options {
  /** Shapes of all possible batches, or of this process's parts of them. */
  readonly shapes: readonly BatchShape[];
  readonly config: DecoderConfig;
  readonly recipe: TransformerRecipe;
  readonly isTrained: (name: string) => boolean;
  /** Token id of every image code. */
  readonly imageTokens: Int32Array;
  readonly terms: Terms;
  readonly collective: Collective;
}

/** The graphs of one batch shape. */
interface Plans {
  readonly step: StepPlan;
  /** For batches of changes, if the recipe uses scheduled sampling. */
  readonly scheduledSampling?: Plan<ScheduledSampling>;
}

export class TransformerSteps {
  private readonly phases: readonly PhaseSteps[];
  private current?: PhaseSteps;

  constructor({ shapes, ...options }: Options) {
    const windows = [...new Set(shapes.map(({ window }) => window))];
    this.phases = windows.map(
      (window) => new PhaseSteps({ ...options, shapes: shapes.filter((shape) => shape.window === window) }),
    );
  }

  /** Peak bytes of each graph of each phase. */
  get bytes(): number[][] {
    return this.phases.map((phase) => phase.bytes);
  }

  /** Bytes of the gradients that processes exchange. */
  get exchanged(): number {
    return Math.max(...this.phases.map((phase) => phase.exchanged));
  }

  /** Runs one step on a batch. */
  async run(batch: PackedBatch, ...rest: StepArguments): Promise<StepResult> {
    const phase = this.phases.find((each) => each.has(batch))!;
    if (this.current !== phase) await this.current?.release();
    this.current = phase;
    return phase.run(batch, ...rest);
  }

  async release(): Promise<void> {
    await this.current?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

type StepArguments = [state: TrainingState, learningRate: number, session: SessionOptions];

/** The steps of one phase. */
class PhaseSteps {
  private readonly recipe: TransformerRecipe;
  private readonly collective: Collective;
  private readonly planner: StepPlanner;
  private readonly plans: ReadonlyMap<string, Plans>;

  constructor({ shapes, config, recipe, isTrained, imageTokens, terms, collective }: Options) {
    this.recipe = recipe;
    this.collective = collective;
    const { optimizer, mix } = recipe;
    this.planner = new StepPlanner(optimizer, collective);
    this.plans = new Map(
      shapes.map((shape) => {
        const { kind, packing } = shape;
        const build = (graph: Graph) => objective(graph, packing, config, terms);
        const step = this.planner.plan(build, isTrained);
        if (mix.scheduledSampling === 0 || kind !== "changes") return [keyOf(shape), { step }];
        const scheduledSampling = ScheduledSampling.plan(
          (graph) => predictions(graph, packing, config),
          imageTokens,
        );
        return [keyOf(shape), { step, scheduledSampling }];
      }),
    );
  }

  /** Peak bytes of each graph. */
  get bytes(): number[] {
    return [...this.planner.bytes, ...this.sampling.map((plan) => plan.bytes)];
  }

  /** Bytes of the gradients that processes exchange. */
  get exchanged(): number {
    return this.planner.exchanged;
  }

  has(batch: PackedBatch): boolean {
    return this.plans.has(keyOf(batch));
  }

  async run(batch: PackedBatch, ...[state, learningRate, session]: StepArguments): Promise<StepResult> {
    const { step, scheduledSampling } = this.plans.get(keyOf(batch))!;
    const read = scheduledSampling
      ? await this.withScheduledSampling(batch, scheduledSampling, state, session)
      : batch;
    return (await step.compile(session)).run(state, feedsOf(read), learningRate, weightOf(batch));
  }

  /** Applies scheduled sampling to the batch if this step uses it. */
  private async withScheduledSampling(
    batch: PackedBatch,
    scheduledSampling: Plan<ScheduledSampling>,
    state: TrainingState,
    session: SessionOptions,
  ): Promise<PackedBatch> {
    const { seed, steps, mix } = this.recipe;
    const random = Random.of(seed, "own codes", state.step);
    if (state.step < mix.scheduledSamplingFrom * steps || !random.chance(mix.scheduledSampling)) return batch;
    return (await scheduledSampling.compile(session)).read(batch, state, random, this.collective);
  }

  async release(): Promise<void> {
    for (const plan of [this.planner, ...this.sampling]) await plan.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private get sampling(): readonly Plan<ScheduledSampling>[] {
    return [...this.plans.values()].flatMap(({ scheduledSampling }) => scheduledSampling ?? []);
  }
}

const keyOf = ({ kind, packing }: BatchShape): string => JSON.stringify([kind, packing]);
