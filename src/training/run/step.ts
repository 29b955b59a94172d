/** @file One training step as one onnxruntime run: forward, backward, clipping and optimizer. */
import { divide, Graph, gradients, multiply, parametersBehind, type Tensor } from "../../graph/index.ts";
import { type Feeds, float32, type Session, type Value } from "../../runtime/session.ts";
import {
  bufferName,
  nameOf,
  nextName,
  type OptimizerSettings,
  optimize,
  rolesOf,
} from "../optimizer/optimizer.ts";
import { Plan } from "./plan.ts";
import type { TrainingState } from "./state.ts";

/** The outputs of a training graph besides the new weights. */
export interface Objective {
  /** float32 scalar to minimize. */
  readonly loss: Tensor;
  /** Further outputs, by name. */
  readonly report?: Readonly<Record<string, Tensor>>;
}

export interface StepResult {
  readonly loss: number;
  readonly gradientNorm: number;
  /** The objective's report. */
  readonly report: Readonly<Record<string, Value>>;
}

/** A compiled training step. Steps of several batch shapes can share one state. */
export class TrainingStep {
  private constructor(
    private readonly session: Session,
    /** Names of the buffers that a run updates. */
    private readonly written: readonly string[],
    private readonly settings: OptimizerSettings,
  ) {}

  /**
   * Builds the graph of a step: loss, gradients, update.
   * @param trainable whether to train a parameter; all by default
   */
  static plan(
    build: (graph: Graph) => Objective,
    settings: OptimizerSettings,
    trainable: (name: string) => boolean = () => true,
  ): Plan<TrainingStep> {
    const graph = new Graph();
    const { loss, report = {} } = build(graph);
    const trained = trainedBehind(loss, trainable);
    return TrainingStep.planned(graph, trained, gradients(loss, trained), { ...report, loss }, settings);
  }

  /**
   * The second half of a step whose batch is shared. Its inputs are sums over the parts of the batch, weighted by the
   * parts: each gradient under `gradientName`, the loss under `WEIGHTED_LOSS`, the weights under `TOTAL_WEIGHT`.
   * @param shapes shapes of the trained parameters, by name
   */
  static planUpdate(
    shapes: ReadonlyMap<string, readonly number[]>,
    settings: OptimizerSettings,
  ): Plan<TrainingStep> {
    const graph = new Graph();
    const share = divide(1, graph.input(TOTAL_WEIGHT, "float32", []));
    const mean = (name: string, shape: readonly number[]) =>
      multiply(graph.input(name, "float32", shape), share);
    const trained = [...shapes].map(([name, shape]) => graph.parameter(name, shape));
    const means = [...shapes].map(([name, shape]) => mean(gradientName(name), shape));
    return TrainingStep.planned(graph, trained, means, { loss: mean(WEIGHTED_LOSS, []) }, settings);
  }

  private static planned(
    graph: Graph,
    trained: readonly Tensor[],
    gradients: readonly Tensor[],
    results: Readonly<Record<string, Tensor>>,
    settings: OptimizerSettings,
  ): Plan<TrainingStep> {
    const update = optimize(graph, trained, gradients, settings);
    const outputs = { ...update.outputs, ...results, "gradient norm": update.gradientNorm };
    const written = trained
      .map(nameOf)
      .flatMap((name) => rolesOf(settings, name).map((role) => bufferName(role, name)));
    return new Plan(outputs, (session) => new TrainingStep(session, written, settings));
  }

  /** Runs one step on a batch and updates the state. */
  async run(state: TrainingState, batch: Feeds, learningRate: number): Promise<StepResult> {
    const time = state.step + 1;
    const feeds: Record<string, Value> = {
      ...batch,
      ...state.feeds(),
      "learning rate": scalar(learningRate),
      "mean correction": scalar(1 / (1 - this.settings.beta1 ** time)),
      "variance correction": scalar(1 / (1 - this.settings.beta2 ** time)),
    };
    const into: Record<string, Value> = {};
    for (const name of this.written) {
      const { data, spare, shape } = state.buffers.get(name)!;
      feeds[name] = float32(data, shape);
      into[nextName(name)] = float32(spare, shape);
    }
    const others = this.session.outputNames.filter((name) => !(name in into));
    const results = await this.session.run(feeds, {
      ...into,
      ...Object.fromEntries(others.map((name) => [name, null])),
    });
    for (const name of this.written) {
      const buffer = state.buffers.get(name)!;
      [buffer.data, buffer.spare] = [buffer.spare, buffer.data];
    }
    state.step = time;
    const {
      loss,
      "gradient norm": gradientNorm,
      ...report
    } = Object.fromEntries(others.map((name) => [name, results[name]!]));
    return { loss: Number(loss!.data[0]), gradientNorm: Number(gradientNorm!.data[0]), report };
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

export const scalar = (value: number): Value => float32(Float32Array.of(value), []);

/** Names of the sums over the parts of a batch. */
export const gradientName = (parameter: string): string => `gradient of ${parameter}`;
export const WEIGHTED_LOSS = "weighted loss";
export const TOTAL_WEIGHT = "total weight";

/** The trained parameters that a loss depends on. */
export const trainedBehind = (loss: Tensor, trainable: (name: string) => boolean): Tensor[] =>
  parametersBehind([loss]).filter((parameter) => trainable(nameOf(parameter)));
