/**
 * @file Draft and verify: guesses of the next tokens are read ahead in one run, and its logits verify them. This file says
 * how often guesses are right, and how many of them are worth reading.
 */

import type { DecoderConfig } from "../checkpoint/config.ts";

/** A guess of a token. Guesses of one kind are right equally often. */
export interface Guess {
  readonly token: number;
  readonly kind: string;
}

/**
 * The fixed cost of a run, in tokens of one row: the weights are read, and every operator starts. Measured with
 * `bench draft`; constants, so that results do not depend on the clock. Products of quantized weights cost nearly as much
 * per token as per run.
 */
const RUN_COST = { float32: 20, quantized: 2 };

export const runCost = ({ quantization }: DecoderConfig): number =>
  quantization ? RUN_COST.quantized : RUN_COST.float32;

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

/** The runs of a request's sequences. */
export interface RunShare {
  /** Rows of these sequences. */
  readonly ownRows: number;
  /** Rows of the batch, those of other requests included. */
  readonly rows: number;
  /** Fixed cost of a run, in tokens of one row. */
  readonly runCost: number;
}

/**
 * The number of guesses per sequence with the most tokens per cost. If guess i is right with probability pᵢ, k guesses give
 * 1 + p₁ + p₁p₂ + … + p₁…pₖ tokens.
 * Nothing is drafted while other requests share the runs: all rows of a run have equally many tokens, so the others would
 * pay for the drafts.
 * @param rates of each sequence's guesses, `[sequences][guesses]`
 */
export function draftLength(
  rates: readonly (readonly number[])[],
  { ownRows, rows, runCost }: RunShare,
): number {
  if (rows > ownRows) return 0;
  const reached = rates.map(() => 1);
  let tokens = rates.length;
  let [best, most] = [0, 0];
  for (let count = 0; count <= MAX_DRAFT; count++) {
    const perCost = tokens / (runCost + ownRows * (1 + count));
    if (perCost > most) [best, most] = [count, perCost];
    for (const [i, each] of rates.entries()) {
      reached[i]! *= each[count] ?? 0;
      tokens += reached[i]!;
    }
  }
  return best;
}
