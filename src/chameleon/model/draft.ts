/**
 * @file Draft and verify: guesses of the next tokens are read ahead in one run, and its logits verify them. This file says
 * how many guesses are worth reading.
 */

/**
 * What a run costs beside its tokens, in tokens of one row: reading the weights, and starting each operator. Measured with
 * nano on two cores (bench/README.md); it is a constant so that what is decoded does not depend on the clock.
 */
const RUN_COST = 10;

/** Most guesses that one run reads. */
export const MAX_DRAFT = 15;

/** Share of right guesses that a request begins with, and the number of guesses that it counts for. */
const PRIOR = { share: 0.6, count: 4 };
/** Weight of a guess after the next one. */
const DECAY = 0.95;

export class DraftLength {
  private right = PRIOR.share * PRIOR.count;
  private tried = PRIOR.count;

  /** Counts a guess whose token is known by now. */
  add(isRight: boolean): void {
    this.right = DECAY * this.right + Number(isRight);
    this.tried = DECAY * this.tried + 1;
  }

  /**
   * The number of guesses with the most tokens per cost. With each guess right at rate p, k guesses give
   * 1 + p + … + pᵏ tokens.
   * @param rows that share the run's fixed cost
   */
  best(rows: number): number {
    const rate = this.right / this.tried;
    let [best, most] = [0, 0];
    for (let count = 0, tokens = 0; count <= MAX_DRAFT; count++) {
      tokens += rate ** count;
      const yielded = tokens / (RUN_COST / rows + 1 + count);
      if (yielded > most) [best, most] = [count, yielded];
    }
    return best;
  }
}
