/** @file One sequence in a batch: what its rows read next, and the tokens that are sampled from their logits. */
import type { Random } from "../../random.ts";
import type { Prefix, Row } from "./batch.ts";
import { type Guess, type GuessRates, MAX_DRAFT } from "./draft.ts";
import { guidedLogits, type Sampling, sample } from "./sampling.ts";

/** Conditions of classifier-free guidance, and the weight of each step between them (see `guide`). */
export interface Guidance {
  /** The least conditioned first; null stands for the sequence's own row. */
  readonly conditions: readonly (Prefix | null)[];
  readonly weights: readonly number[];
}

/** A sequence to generate, with its grammar. */
export interface Sequence {
  readonly prefix: Prefix;
  /** Source of randomness. */
  readonly random: Random;
  /** Tokens so far. */
  readonly tokens: readonly number[];
  /** The allowed ids of the next token; empty at the end. */
  readonly allowed: Int32Array;
  /**
   * Guidance of the next token; plain sampling without. Return the same object as long as the conditions stay the same.
   * New conditions must include all tokens so far.
   */
  readonly guidance?: Guidance;
  /**
   * A guess of the token `ahead` places after the next one; undefined for none there and beyond. The decoder verifies
   * guesses, several per run: they change the number of runs, and the rounding of logits (see `Batch`).
   */
  guess?(ahead: number): Guess | undefined;
  /** Called before each choice with the guided logits of `allowed`. */
  observe?(logits: Float32Array): void;
  take(token: number): void;
}

/** How tokens are sampled, and what for (in errors). */
export interface Choosing {
  readonly doing: string;
  readonly sampling: Sampling;
}

/** Guesses of one run. */
export interface Verified {
  readonly drafted: number;
  readonly accepted: number;
}

export class Decoding {
  /** The row of the sequence itself. */
  own: Row | undefined;
  guidance: Guidance | undefined;
  /** Rows of the other guidance conditions. */
  others: Row[] = [];
  /** Tokens that the model has not processed yet. */
  private unread: number[] = [];
  /** Guesses of the tokens after those, one or several by place, the likeliest first. */
  private guesses: (readonly Guess[])[] = [];
  /** How many places' likeliest guesses the rows have read. */
  private drafted = 0;
  /** Which of the last run's logits follow the last token that is certain. */
  private start = 0;
  /** Samples of the next places from the logits behind a wrong guess: guesses of what the places will be. */
  private foreseen: number[] = [];
  private readonly numbers: Lookahead;

  constructor(readonly sequence: Sequence) {
    this.numbers = new Lookahead(sequence.random);
  }

  get rows(): readonly Row[] {
    return this.own ? [this.own, ...this.others] : [];
  }

  get isDone(): boolean {
    return this.sequence.allowed.length === 0;
  }

  /** Guesses what follows. @returns the rate at which each of the guesses is right */
  propose(rates: GuessRates): number[] {
    this.guesses = [];
    while (this.guesses.length < MAX_DRAFT) {
      const guesses = this.guess(this.guesses.length);
      if (guesses.length === 0) break;
      this.guesses.push(guesses.sort((a, b) => rates.of(b.kind) - rates.of(a.kind)));
    }
    return this.guesses.map(([likeliest]) => rates.of(likeliest!.kind));
  }

  /** What the rows read next: the tokens that were taken, then at most `count` guesses. */
  read(count: number): number[] {
    const draft = this.guesses.slice(0, count).map(([likeliest]) => likeliest!.token);
    const tokens = [...this.unread, ...draft];
    this.drafted = draft.length;
    this.start = this.unread.length - 1;
    this.unread = [];
    return tokens;
  }

  /**
   * Takes the tokens that the last run's logits decide: one, and another for each right guess. Every token is sampled from
   * its own logits with its own random number, so the tokens are those that are sampled one per run, up to rounding.
   * @param rates count the guesses
   */
  choose(choosing: Choosing, rates: GuessRates): Verified {
    const { drafted } = this;
    for (let accepted = 0; ; ) {
      const token = this.sampleAt(this.start + accepted, 0, choosing, true);
      const guesses = this.guesses[accepted] ?? [];
      for (const guess of guesses) rates.add(guess.kind, guess.token === token);
      this.take(token);
      if (accepted === drafted || guesses[0]!.token !== token) {
        if (this.unread.length === 1 && !this.isDone) this.foresee(accepted + 1, choosing);
        return { drafted, accepted };
      }
      accepted++;
      this.unread.shift(); // the rows have read it
      // What follows without a choice, or under other conditions, was not drafted.
      if (this.unread.length > 0 || this.isDone || this.guidance !== this.sequence.guidance)
        return { drafted, accepted };
    }
  }

  /** The sequence's own guess of a place, and what was foreseen there: one guess where they agree. */
  private guess(ahead: number): Guess[] {
    const own = this.sequence.guess?.(ahead);
    if (!own) return [];
    const token = this.foreseen[ahead];
    if (token === undefined) return [own];
    if (own.token === token) return [{ token, kind: `foreseen and ${own.kind}` }];
    return [
      { token, kind: `foreseen, not ${own.kind}` },
      { token: own.token, kind: `${own.kind}, not foreseen` },
    ];
  }

  /** Samples the places behind a wrong guess all the same: most of what their logits depend on is right. */
  private foresee(from: number, choosing: Choosing): void {
    for (let i = from; i <= this.drafted; i++)
      this.foreseen[i - from] = this.sampleAt(this.start + i, i - from, choosing, false);
  }

  /** @param ahead places after the next one */
  private sampleAt(index: number, ahead: number, { doing, sampling }: Choosing, isCertain: boolean): number {
    const { allowed } = this.sequence;
    const logits = guidedLogits(this.chain(allowed, index), this.guidance?.weights ?? [], doing);
    if (isCertain) this.sequence.observe?.(logits);
    return allowed[sample(logits, sampling, { uniform: () => this.numbers.at(ahead) })]!;
  }

  /** Logits of `ids` under each condition, `[conditions][ids]`. */
  private chain(ids: Int32Array, index: number): Float32Array[] {
    // Counted from the end: a condition that was just added has only the logits after its prefix.
    const fromEnd = index - this.own!.logits.length;
    const picked = ({ logits }: Row) => pick(logits.at(fromEnd)!, ids);
    if (!this.guidance) return [picked(this.own!)];
    let next = 0;
    return this.guidance.conditions.map((condition) =>
      picked(condition === null ? this.own! : this.others[next++]!),
    );
  }

  /** Appends a token, and the following tokens that have no alternative. */
  private take(token: number): void {
    this.numbers.next();
    for (let next: number | undefined = token; next !== undefined; ) {
      this.sequence.take(next);
      this.unread.push(next);
      this.foreseen.shift();
      const { allowed } = this.sequence;
      next = allowed.length === 1 ? allowed[0] : undefined;
    }
  }
}

/** The random numbers of the next places: one for each, whether it is used or not. */
class Lookahead {
  private readonly numbers: number[] = [];

  constructor(private readonly random: Random) {}

  at(ahead: number): number {
    while (this.numbers.length <= ahead) this.numbers.push(this.random.uniform());
    return this.numbers[ahead]!;
  }

  next(): void {
    this.numbers.shift();
  }
}

/** The logits of `ids`. */
export function pick(logits: Float32Array, ids: Int32Array): Float32Array {
  const picked = new Float32Array(ids.length);
  for (let i = 0; i < ids.length; i++) picked[i] = logits[ids[i]!]!;
  return picked;
}
