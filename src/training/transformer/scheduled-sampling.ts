/**
 * @file Parallel scheduled sampling (https://arxiv.org/abs/1906.04331). One forward pass without gradients predicts
 * every code from the true codes before it, and samples from these predictions. The training step then uses a share of
 * the samples as inputs. Training thus meets the mistakes of generation, and learns to recover from them.
 */
import { type Sampling, sample } from "../../chameleon/model/sampling.ts";
import { Graph, type Tensor } from "../../graph/index.ts";
import type { Random } from "../../random.ts";
import { floats, type Session } from "../../runtime/session.ts";
import { alone, type Collective, gather } from "../distributed/collective.ts";
import { Plan } from "../run/plan.ts";
import type { TrainingState } from "../run/state.ts";
import type { PackedBatch } from "./data.ts";
import { feedsOf, rowsWithLoss } from "./objective.ts";

/** Close to the settings of generation. */
const SAMPLING: Sampling = { temperature: 0.8, topK: 0, topP: 0.9 };

/** A compiled forward pass over one packing. */
export class ScheduledSampling {
  private constructor(
    private readonly session: Session,
    private readonly imageTokens: Int32Array,
  ) {}

  /**
   * @param predict logits of the TODO rows, `[rows, vocabulary]`
   * @param imageTokens token id of every image code
   */
  static plan(predict: (graph: Graph) => Tensor, imageTokens: Int32Array): Plan<ScheduledSampling> {
    return new Plan(
      { logits: predict(new Graph()) },
      (session) => new ScheduledSampling(session, imageTokens),
    );
  }

  /**
   * Replaces a random share of each target's input codes by samples of the model. The share is uniform in [0, 1].
   * Processes that share a batch go through the random numbers of the whole batch, so the result does not depend on
   * their number.
   */
  async read(
    batch: PackedBatch,
    state: TrainingState,
    random: Random,
    collective: Collective = alone,
  ): Promise<PackedBatch> {
    const { logits } = await this.session.runOn({ ...feedsOf(batch), ...state.feeds() });
    const values = floats(logits!);
    const width = logits!.dims[1]!;
    const { todoLength } = batch.packing;
    const todoTokens = batch.todoTokens.slice();
    /** 1 for rows whose next code may be replaced. */
    const ours = new Float32Array(todoTokens.length);
    /** Index of a row's logits. */
    const logitsOf = new Map(rowsWithLoss(batch).map((row, i) => [row, i]));
    for (const row of logitsOf.keys()) {
      // Masked or replaced codes stay as they are.
      const isTrue = batch.targetWeights[row] === 1 && todoTokens[row + 1] === batch.targets[row];
      const isLast = (row + 1) % todoLength === 0;
      if (isTrue && !isLast) ours[row] = 1;
    }
    const replaceable = await gather(collective, ours);
    const first = collective.rank * ours.length;
    const shares = Array.from({ length: replaceable.length / todoLength }, () => random.uniform());
    for (const [i, may] of replaceable.entries()) {
      if (may === 0 || !random.chance(shares[Math.floor(i / todoLength)]!)) continue;
      const row = logitsOf.get(i - first);
      if (row === undefined) {
        random.uniform(); // the number that another process uses for its sample
        continue;
      }
      const ofCodes = Float32Array.from(this.imageTokens, (token) => values[row * width + token]!);
      todoTokens[i - first + 1] = BigInt(this.imageTokens[sample(ofCodes, SAMPLING, random)]!);
    }
    return { ...batch, todoTokens };
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
