/** @file One training step as one onnxruntime run: forward, backward, clipping and optimizer. */
import { Graph, gradients, parametersBehind, type Tensor } from "../../graph/index.ts";
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

  /** @param trainable whether to train a parameter; all by default */
  static plan(
    build: (graph: Graph) => Objective,
    settings: OptimizerSettings,
    trainable: (name: string) => boolean = () => true,
  ): Plan<TrainingStep> {
    const graph = new Graph();
    const { loss, report = {} } = build(graph);
    const trained = parametersBehind([loss]).filter((parameter) => trainable(nameOf(parameter)));
    const update = optimize(graph, trained, gradients(loss, trained), settings);
    const outputs = { ...update.outputs, ...report, loss, "gradient norm": update.gradientNorm };
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

const scalar = (value: number): Value => float32(Float32Array.of(value), []);
