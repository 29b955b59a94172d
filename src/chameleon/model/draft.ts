/**
 * @file Draft and verify: guesses of the next tokens are read ahead in one run, and its logits verify them. This file says
 * how often guesses are right, and how many of them are worth reading.
 */

/** A guess of a token. Guesses of one kind are right equally often. */
export interface Guess {
  readonly token: number;
  readonly kind: string;
}

/**
 * What a run costs beside its tokens, in tokens of one row: reading the weights, and starting each operator. Measured with
 * nano (bench/README.md); it is a constant so that what is decoded does not depend on the clock.
 */
const RUN_COST = 20;

/** Most guesses that one run reads. */
export const MAX_DRAFT = 15;

/** Share of right guesses that every kind begins with, and the number of guesses that it counts for. */
const PRIOR = { share: 0.7, count: 2 };
/** Weight of a guess after the next one. */
const DECAY = 0.95;

/** How often guesses of each kind are right, the latest counting most. */
export class GuessRates {
  private readonly counts = new Map<string, { readonly right: number; readonly tried: number }>();

  of(kind: string): number {
    const { right, tried } = this.countsOf(kind);
    return right / tried;
  }

  /** Counts a guess whose token is known by now. */
  add(kind: string, isRight: boolean): void {
    const { right, tried } = this.countsOf(kind);
    this.counts.set(kind, { right: DECAY * right + Number(isRight), tried: DECAY * tried + 1 });
  }

  private countsOf(kind: string) {
    return this.counts.get(kind) ?? { right: PRIOR.share * PRIOR.count, tried: PRIOR.count };
  }
}

/**
 * The number of guesses per sequence with the most tokens per cost. Where guess i is right at rate pᵢ, k guesses give
 * 1 + p₁ + p₁p₂ + … + p₁…pₖ tokens.
 * @param rates of each sequence's guesses, `[sequences][guesses]`
 * @param own rows of these sequences
 * @param shared rows that share the run's fixed cost
 */
export function draftLength(rates: readonly (readonly number[])[], own: number, shared: number): number {
  const reached = rates.map(() => 1);
  let tokens = rates.length;
  let [best, most] = [0, 0];
  for (let count = 0; count <= MAX_DRAFT; count++) {
    const yielded = tokens / ((RUN_COST * own) / shared + own * (1 + count));
    if (yielded > most) [best, most] = [count, yielded];
    for (const [i, each] of rates.entries()) {
      reached[i]! *= each[count] ?? 0;
      tokens += reached[i]!;
    }
  }
  return best;
}
