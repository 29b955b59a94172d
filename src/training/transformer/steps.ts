/** @file The training steps of the transformer, one per batch shape. All share one state. */
import type { DecoderConfig } from "../../chameleon/checkpoint/config.ts";
import { Random } from "../../random.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import type { Plan } from "../run/plan.ts";
import type { TrainingState } from "../run/state.ts";
import { type StepResult, TrainingStep } from "../run/step.ts";
import type { BatchShape, PackedBatch } from "./data.ts";
import { feedsOf, objective, predictions } from "./objective.ts";
import type { TransformerRecipe } from "./recipe.ts";
import { ScheduledSampling } from "./scheduled-sampling.ts";

interface Options {
  /** Shapes of all possible batches. */
  readonly shapes: readonly BatchShape[];
  readonly config: DecoderConfig;
  readonly recipe: TransformerRecipe;
  readonly isTrained: (name: string) => boolean;
  /** Token id of every image code. */
  readonly imageTokens: Int32Array;
}

/** The graphs of one batch shape. */
interface Plans {
  readonly step: Plan<TrainingStep>;
  /** For batches of changes, if the recipe uses scheduled sampling. */
  readonly ownCodes?: Plan<ScheduledSampling>;
}

export class TransformerSteps {
  private readonly recipe: TransformerRecipe;
  private readonly plans: ReadonlyMap<string, Plans>;

  constructor({ shapes, config, recipe, isTrained, imageTokens }: Options) {
    this.recipe = recipe;
    const { optimizer, loss, mix } = recipe;
    this.plans = new Map(
      shapes.map((shape) => {
        const { kind, packing } = shape;
        const step = TrainingStep.plan(
          (graph) => objective(graph, packing, config, loss.zLoss),
          optimizer,
          isTrained,
        );
        if (mix.ownCodes === 0 || kind !== "changes") return [keyOf(shape), { step }];
        const ownCodes = ScheduledSampling.plan((graph) => predictions(graph, packing, config), imageTokens);
        return [keyOf(shape), { step, ownCodes }];
      }),
    );
  }

  /** Peak bytes of each graph. */
  get bytes(): number[] {
    return this.all.map((plan) => plan.bytes);
  }

  /** Runs one step on a batch. */
  async run(
    batch: PackedBatch,
    state: TrainingState,
    learningRate: number,
    session: SessionOptions,
  ): Promise<StepResult> {
    const { step, ownCodes } = this.plans.get(keyOf(batch))!;
    const read = ownCodes ? await this.withOwnCodes(batch, ownCodes, state, session) : batch;
    return (await step.compile(session)).run(state, feedsOf(read), learningRate);
  }

  /** Applies scheduled sampling to the batch if this step uses it. */
  private async withOwnCodes(
    batch: PackedBatch,
    ownCodes: Plan<ScheduledSampling>,
    state: TrainingState,
    session: SessionOptions,
  ): Promise<PackedBatch> {
    const { seed, steps, mix } = this.recipe;
    const random = Random.of(seed, "own codes", state.step);
    if (state.step < mix.ownCodesFrom * steps || !random.chance(mix.ownCodes)) return batch;
    return (await ownCodes.compile(session)).read(batch, state, random);
  }

  async release(): Promise<void> {
    for (const plan of this.all) await plan.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private get all(): readonly (Plan<TrainingStep> | Plan<ScheduledSampling>)[] {
    return [...this.plans.values()].flatMap(({ step, ownCodes }) => (ownCodes ? [step, ownCodes] : [step]));
  }
}

const keyOf = ({ kind, packing }: BatchShape): string => JSON.stringify([kind, packing]);
