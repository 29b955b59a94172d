/**
 * @file Targets read as the model itself draws them: parallel scheduled sampling (https://arxiv.org/abs/1906.04331). One
 * run without gradients predicts every code from the true ones before it; then the step predicts them again, from a
 * share of those draws. So training meets the mistakes that drawing makes, and learns to find back from them.
 */
import { type Sampling, sample } from "../../chameleon/model/sampling.ts";
import { Graph, type Tensor } from "../../graph/index.ts";
import type { Random } from "../../random.ts";
import { floats, type Session } from "../../runtime/session.ts";
import { Plan } from "../run/plan.ts";
import type { TrainingState } from "../run/state.ts";
import type { PackedBatch } from "./data.ts";
import { feedsOf, rowsWithLoss } from "./objective.ts";

/** Near to what pictures are drawn with. */
const SAMPLING: Sampling = { temperature: 0.8, topK: 0, topP: 0.9 };

/** A compiled run that predicts the TODO rows of one packing. */
export class OwnCodes {
  private constructor(
    private readonly session: Session,
    private readonly imageTokens: Int32Array,
  ) {}

  /**
   * @param predict logits of the TODO rows, `[rows, vocabulary]`
   * @param imageTokens ids that a picture's codes have
   */
  static plan(predict: (graph: Graph) => Tensor, imageTokens: Int32Array): Plan<OwnCodes> {
    return new Plan({ logits: predict(new Graph()) }, (session) => new OwnCodes(session, imageTokens));
  }

  /** The batch with a random share of each target's codes, none to all, read as the model draws them. */
  async read(batch: PackedBatch, state: TrainingState, random: Random): Promise<PackedBatch> {
    const { logits } = await this.session.runOn({ ...feedsOf(batch), ...state.feeds() });
    const values = floats(logits!);
    const width = logits!.dims[1]!;
    const { todoLength } = batch.packing;
    const todoTokens = batch.todoTokens.slice();
    const shares = Array.from({ length: todoTokens.length / todoLength }, () => random.uniform());
    for (const [i, row] of rowsWithLoss(batch).entries()) {
      // A code that is hidden, or read as another already, stays so.
      const isTrue = batch.targetWeights[row] === 1 && todoTokens[row + 1] === batch.targets[row];
      const isLast = (row + 1) % todoLength === 0;
      if (!isTrue || isLast || !random.chance(shares[Math.floor(row / todoLength)]!)) continue;
      const ofCodes = Float32Array.from(this.imageTokens, (token) => values[i * width + token]!);
      todoTokens[row + 1] = BigInt(this.imageTokens[sample(ofCodes, SAMPLING, random)]!);
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
