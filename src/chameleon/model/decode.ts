/**
 * @file The decoding loop: sample a token of every sequence, run the model on all of them, repeat. Pictures,
 * descriptions and completions are all made by it; they differ in what may follow and under which conditions.
 */
import type { Random } from "../../random.ts";
import type { BatchNeed } from "./admission.ts";
import { type Batch, type Prefix, prefixLength, type Row } from "./batch.ts";
import { guidedLogits, type Sampling, sample } from "./sampling.ts";

/** Conditions that logits are mixed from, and the weight of each step between them (see `guide`). */
export interface Guidance {
  /** The least conditioned first; null stands for the sequence's own row. */
  readonly conditions: readonly (Prefix | null)[];
  readonly weights: readonly number[];
}

/** A sequence that is being generated, and what may follow in it. */
export interface Sequence {
  /** What it begins with. */
  readonly prefix: Prefix;
  /** Where its random numbers come from. */
  readonly random: Random;
  /** Tokens so far. */
  readonly tokens: readonly number[];
  /** Ids of which the next token is one; none at the end. */
  readonly allowed: Int32Array;
  /**
   * Guidance of the next token where there is a choice; without, sampling is plain. It is the same object for as long as
   * the conditions stay; those of a new one begin with all tokens so far.
   */
  readonly guidance?: Guidance;
  /** Called before each choice with the guided logits of `allowed`. */
  observe?(logits: Float32Array): void;
  take(token: number): void;
}

export interface DecodeOptions {
  /** What this is for, in errors: "generating". */
  readonly doing: string;
  readonly sampling: Sampling;
  /** The most tokens that a sequence takes. */
  readonly maxTokens: number;
  /** Rows that the sequences have at most. Defaults to what they begin with. */
  readonly maxRows?: number;
  readonly signal?: AbortSignal;
}

/** A sequence in the batch. */
class Decoding {
  /** Its own row. */
  own: Row | undefined;
  guidance: Guidance | undefined;
  /** Rows of the guidance's other conditions. */
  others: Row[] = [];
  /** Tokens that the rows have yet to read. */
  readonly unread: number[] = [];

  constructor(readonly sequence: Sequence) {}

  get rows(): readonly Row[] {
    return this.own ? [this.own, ...this.others] : [];
  }

  /** Logits of `ids` under each condition, `[conditions][ids]`. */
  chain(ids: Int32Array): Float32Array[] {
    if (!this.guidance) return [pick(this.own!.logits, ids)];
    let next = 0;
    return this.guidance.conditions.map((condition) =>
      pick((condition === null ? this.own! : this.others[next++]!).logits, ids),
    );
  }

  /** Takes a token, and those after it that leave no choice. */
  take(token: number): void {
    for (let next: number | undefined = token; next !== undefined; ) {
      this.sequence.take(next);
      this.unread.push(next);
      const { allowed } = this.sequence;
      next = allowed.length === 1 ? allowed[0] : undefined;
    }
  }

  get isDone(): boolean {
    return this.sequence.allowed.length === 0;
  }
}

/**
 * Decodes sequences to their ends.
 * @param sequences in which there is a choice of the first token
 * @returns after each step the tokens so far of every sequence; these arrays keep growing. Leaving the generator
 * frees the rows.
 * @throws XPromptError when the rows would take more memory than there is, or logits are not finite
 * @throws the signal's reason, once it is aborted
 */
export async function* decode(
  batch: Batch,
  sequences: readonly Sequence[],
  options: DecodeOptions,
): AsyncGenerator<readonly (readonly number[])[]> {
  const { doing, sampling, signal } = options;
  let live = sequences.map((sequence) => new Decoding(sequence));
  const member = await batch.join(needOf(sequences, options));
  try {
    for (;;) {
      signal?.throwIfAborted();
      await changeConditions();
      for (const each of live) {
        if (each.unread.length > 0) continue;
        const { allowed, guidance, random } = each.sequence;
        const logits = guidedLogits(each.chain(allowed), guidance?.weights ?? [], doing);
        each.sequence.observe?.(logits);
        each.take(allowed[sample(logits, sampling, random)]!);
      }
      yield sequences.map(({ tokens }) => tokens);
      for (const each of live) if (each.isDone) member.remove(each.rows);
      live = live.filter(({ isDone }) => !isDone);
      if (live.length === 0) return;
      signal?.throwIfAborted();
      const next = live.flatMap((each) => {
        const token = each.unread.shift()!;
        return each.rows.map((row) => [row, token] as const);
      });
      await member.step(new Map(next));
    }
  } finally {
    member.leave();
  }

  /** Gives every sequence the rows that its guidance needs now. */
  async function changeConditions(): Promise<void> {
    const changed = live.filter(
      ({ own, guidance, sequence, unread }) =>
        !own || (unread.length === 0 && guidance !== sequence.guidance),
    );
    if (changed.length === 0) return;
    for (const each of changed) {
      member.remove(each.others);
      each.guidance = each.sequence.guidance;
    }
    const wanted = changed.map(({ own, sequence }) => [
      ...(own ? [] : [sequence.prefix]),
      ...othersOf(sequence.guidance),
    ]);
    const rows = wanted.some(({ length }) => length > 0) ? await member.add(wanted.flat()) : [];
    for (const [i, each] of changed.entries()) {
      const added = rows.splice(0, wanted[i]!.length);
      each.own ??= added.shift();
      each.others = added;
    }
  }
}

const othersOf = (guidance: Guidance | undefined): Prefix[] =>
  guidance?.conditions.filter((condition) => condition !== null) ?? [];

function needOf(
  sequences: readonly Sequence[],
  { doing, maxTokens, maxRows, signal }: DecodeOptions,
): BatchNeed {
  const prefixes = sequences.flatMap(({ prefix, guidance }) => [prefix, ...othersOf(guidance)]);
  return {
    doing,
    rows: maxRows ?? prefixes.length,
    slots: Math.max(...prefixes.map(prefixLength)) + maxTokens,
    signal,
  };
}

function pick(logits: Float32Array, ids: Int32Array): Float32Array {
  const picked = new Float32Array(ids.length);
  for (let i = 0; i < ids.length; i++) picked[i] = logits[ids[i]!]!;
  return picked;
}
