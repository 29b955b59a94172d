/** @file A training step of the transformer for every shape that its batches have; all work on one state. */
import type { DecoderConfig } from "../../chameleon/checkpoint/config.ts";
import type { Graph } from "../../graph/index.ts";
import { Random } from "../../random.ts";
import type { SessionOptions } from "../../runtime/session.ts";
import type { Collective } from "../distributed/collective.ts";
import { type StepPlan, StepPlanner } from "../distributed/step.ts";
import type { Plan } from "../run/plan.ts";
import type { TrainingState } from "../run/state.ts";
import type { StepResult } from "../run/step.ts";
import type { BatchShape, PackedBatch } from "./data.ts";
import { feedsOf, objective, predictions, weightOf } from "./objective.ts";
import { OwnCodes } from "./own-codes.ts";
import type { TransformerRecipe } from "./recipe.ts";

interface Options {
  /** Of all batches that may come, as this process gets them. */
  readonly shapes: readonly BatchShape[];
  readonly config: DecoderConfig;
  readonly recipe: TransformerRecipe;
  readonly isTrained: (name: string) => boolean;
  /** Ids that a picture's codes have. */
  readonly imageTokens: Int32Array;
  readonly collective: Collective;
}

/** What a batch of one shape runs. */
interface Plans {
  readonly step: StepPlan;
  /** Of changes, where the recipe has targets read as the model draws them. */
  readonly ownCodes?: Plan<OwnCodes>;
}

export class TransformerSteps {
  private readonly recipe: TransformerRecipe;
  private readonly collective: Collective;
  private readonly planner: StepPlanner;
  private readonly plans: ReadonlyMap<string, Plans>;

  constructor({ shapes, config, recipe, isTrained, imageTokens, collective }: Options) {
    this.recipe = recipe;
    this.collective = collective;
    const { optimizer, loss, mix } = recipe;
    this.planner = new StepPlanner(optimizer, collective);
    this.plans = new Map(
      shapes.map((shape) => {
        const { kind, packing } = shape;
        const build = (graph: Graph) => objective(graph, packing, config, loss.zLoss);
        const step = this.planner.plan(build, isTrained);
        if (mix.ownCodes === 0 || kind !== "changes") return [keyOf(shape), { step }];
        const ownCodes = OwnCodes.plan((graph) => predictions(graph, packing, config), imageTokens);
        return [keyOf(shape), { step, ownCodes }];
      }),
    );
  }

  /** Bytes that each of the runs holds at once. */
  get bytes(): number[] {
    return [...this.planner.bytes, ...this.ownCodes.map((plan) => plan.bytes)];
  }

  /** Bytes of gradients that are kept for the exchange with other processes. */
  get exchanged(): number {
    return this.planner.exchanged;
  }

  /** One step on a batch. */
  async run(
    batch: PackedBatch,
    state: TrainingState,
    learningRate: number,
    session: SessionOptions,
  ): Promise<StepResult> {
    const { step, ownCodes } = this.plans.get(keyOf(batch))!;
    const read = ownCodes ? await this.asRead(batch, ownCodes, state, session) : batch;
    return (await step.compile(session)).run(state, feedsOf(read), learningRate, weightOf(batch));
  }

  /** The batch as the state's next step reads it. */
  private async asRead(
    batch: PackedBatch,
    ownCodes: Plan<OwnCodes>,
    state: TrainingState,
    session: SessionOptions,
  ): Promise<PackedBatch> {
    const { seed, steps, mix } = this.recipe;
    const random = Random.of(seed, "own codes", state.step);
    if (state.step < mix.ownCodesFrom * steps || !random.chance(mix.ownCodes)) return batch;
    return (await ownCodes.compile(session)).read(batch, state, random, this.collective);
  }

  async release(): Promise<void> {
    for (const plan of [this.planner, ...this.ownCodes]) await plan.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private get ownCodes(): readonly Plan<OwnCodes>[] {
    return [...this.plans.values()].flatMap(({ ownCodes }) => ownCodes ?? []);
  }
}

const keyOf = ({ kind, packing }: BatchShape): string => JSON.stringify([kind, packing]);
