/**
 * @file Training steps of processes that share every batch. Each process computes the gradients of its part in one
 * onnxruntime run. The processes sum them. A second run, the same in all, updates the weights. A single process does all
 * of it in one run.
 */
import { Graph, gradients, multiply, type Tensor } from "../../graph/index.ts";
import { type Feeds, float32, floats, type Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import { nameOf, type OptimizerSettings } from "../optimizer/optimizer.ts";
import { Plan } from "../run/plan.ts";
import type { TrainingState } from "../run/state.ts";
import {
  gradientName,
  type Objective,
  type StepResult,
  scalar,
  TOTAL_WEIGHT,
  TrainingStep,
  trainedBehind,
  WEIGHTED_LOSS,
} from "../run/step.ts";
import { GradientBuckets } from "./buckets.ts";
import { alone, type Collective } from "./collective.ts";

/** A compiled step of one batch shape. */
export interface Step {
  /**
   * @param batch this process's part of it
   * @param weight weight of this part in the mean over all parts: what its loss was divided by
   * @returns loss and gradient norm of the whole batch, the report of this part
   */
  run(state: TrainingState, batch: Feeds, learningRate: number, weight: number): Promise<StepResult>;
}

export interface StepPlan {
  compile(options?: SessionOptions): Promise<Step>;
}

/** The second half of steps that train the same parameters. */
interface Update {
  readonly buckets: GradientBuckets;
  readonly plan: Plan<TrainingStep>;
}

/** Plans the steps of a run, and owns what they hold. */
export class StepPlanner {
  private readonly plans: Pick<Plan<Session>, "bytes" | "release">[] = [];
  private readonly updates = new Map<string, Update>();

  constructor(
    private readonly settings: OptimizerSettings,
    private readonly collective: Collective = alone,
  ) {}

  /** @param trainable whether to train a parameter */
  plan(build: (graph: Graph) => Objective, trainable: (name: string) => boolean): StepPlan {
    if (this.collective.size === 1) return this.own(TrainingStep.plan(build, this.settings, trainable));
    const graph = new Graph();
    const { loss, report = {} } = build(graph);
    const trained = trainedBehind(loss, trainable);
    const weighted = multiply(loss, graph.input("weight", "float32", []));
    const slopes = gradients(weighted, trained);
    const named = trained.map((parameter, i) => [gradientName(nameOf(parameter)), slopes[i]!]);
    const outputs = { ...Object.fromEntries(named), ...report, [WEIGHTED_LOSS]: weighted };
    const first = this.own(new Plan(outputs, (session) => session));
    const { buckets, plan } = this.updateOf(trained);
    const { collective } = this;
    return {
      compile: async (options) =>
        new SharedStep(await first.compile(options), await plan.compile(options), buckets, collective),
    };
  }

  /** Peak bytes of each graph. */
  get bytes(): number[] {
    return this.plans.map(({ bytes }) => bytes);
  }

  /** Bytes of the gradients that processes exchange. */
  get exchanged(): number {
    return [...this.updates.values()].reduce((sum, { buckets }) => sum + buckets.bytes, 0);
  }

  async release(): Promise<void> {
    await Promise.all(this.plans.map((plan) => plan.release()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private updateOf(trained: readonly Tensor[]): Update {
    const shapes = new Map(trained.map((parameter) => [nameOf(parameter), parameter.shape as number[]]));
    const key = [...shapes.keys()].join();
    const known = this.updates.get(key);
    if (known) return known;
    const plan = this.own(TrainingStep.planUpdate(shapes, this.settings));
    const update = { buckets: new GradientBuckets(shapes), plan };
    this.updates.set(key, update);
    return update;
  }

  private own<T extends Pick<Plan<Session>, "bytes" | "release">>(plan: T): T {
    this.plans.push(plan);
    return plan;
  }
}

class SharedStep implements Step {
  constructor(
    private readonly gradients: Session,
    private readonly update: TrainingStep,
    private readonly buckets: GradientBuckets,
    private readonly collective: Collective,
  ) {}

  async run(state: TrainingState, batch: Feeds, learningRate: number, weight: number): Promise<StepResult> {
    const { values } = this.buckets;
    const others = this.gradients.outputNames.filter((name) => !(name in values));
    const results = await this.gradients.run(
      { ...batch, ...state.feeds(), weight: scalar(weight) },
      { ...values, ...Object.fromEntries(others.map((name) => [name, null])) },
    );
    const { [WEIGHTED_LOSS]: weightedLoss, ...report } = Object.fromEntries(
      others.map((name) => [name, results[name]!]),
    );
    this.buckets.sums.set([floats(weightedLoss!)[0]!, weight]);
    for (const bucket of this.buckets.arrays) await this.collective.allReduce(bucket);
    const [loss, total] = [0, 1].map((i) => float32(this.buckets.sums.subarray(i, i + 1), []));
    const feeds = { ...values, [WEIGHTED_LOSS]: loss!, [TOTAL_WEIGHT]: total! };
    return { ...(await this.update.run(state, feeds, learningRate)), report };
  }
}
