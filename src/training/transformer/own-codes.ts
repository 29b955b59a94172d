/**
 * @file Targets read as the model itself draws them: parallel scheduled sampling (https://arxiv.org/abs/1906.04331). One
 * run without gradients predicts every code from the true ones before it; then the step predicts them again, from a
 * share of those draws. So training meets the mistakes that drawing makes, and learns to find back from them.
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

  /**
   * The batch with a random share of each target's codes, none to all, read as the model samples them. Processes that
   * share a batch read the random numbers of the whole batch, so that its codes do not depend on how it is shared.
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
    /** 1 for codes that may be replaced, by row. */
    const ours = new Float32Array(todoTokens.length);
    const placeOf = new Map(rowsWithLoss(batch).map((row, place) => [row, place]));
    for (const row of placeOf.keys()) {
      // A code that is hidden, or read as another already, stays so.
      const isTrue = batch.targetWeights[row] === 1 && todoTokens[row + 1] === batch.targets[row];
      const isLast = (row + 1) % todoLength === 0;
      if (isTrue && !isLast) ours[row] = 1;
    }
    const replaceable = await gather(collective, ours);
    const first = collective.rank * ours.length;
    const shares = Array.from({ length: replaceable.length / todoLength }, () => random.uniform());
    for (const [i, may] of replaceable.entries()) {
      if (may === 0 || !random.chance(shares[Math.floor(i / todoLength)]!)) continue;
      const place = placeOf.get(i - first);
      if (place === undefined) {
        random.uniform(); // the one number that the process of this row reads for its sample
        continue;
      }
      const ofCodes = Float32Array.from(this.imageTokens, (token) => values[place * width + token]!);
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
