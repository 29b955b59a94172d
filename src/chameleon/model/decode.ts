/**
 * @file The decoding loop: sample a token of every sequence, run the model on all of them, repeat. Pictures,
 * descriptions and completions share it; they differ in allowed tokens and guidance conditions.
 */
import type { Random } from "../../random.ts";
import type { BatchNeed } from "./admission.ts";
import { type Batch, type Prefix, prefixLength, type Row } from "./batch.ts";
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
  /** Called before each choice with the guided logits of `allowed`. */
  observe?(logits: Float32Array): void;
  take(token: number): void;
}

export interface DecodeOptions {
  /** What the caller does, for errors: "generating". */
  readonly doing: string;
  readonly sampling: Sampling;
  /** The most tokens per sequence. */
  readonly maxTokens: number;
  /** The most rows of all sequences. Defaults to the number at the start. */
  readonly maxRows?: number;
  readonly signal?: AbortSignal;
}

/** A sequence in the batch. */
class Decoding {
  /** The row of the sequence itself. */
  own: Row | undefined;
  guidance: Guidance | undefined;
  /** Rows of the other guidance conditions. */
  others: Row[] = [];
  /** Tokens that the model has not processed yet. */
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

  /** Appends a token, and the following tokens that have no alternative. */
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
 * @param sequences each must have a choice for its first token
 * @returns after each step the tokens so far of every sequence; these arrays grow in place. Leaving the generator
 * frees the rows.
 * @throws XPromptError when memory is short, or logits are not finite
 * @throws the signal's reason when it is aborted
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

  /** Updates the rows of every sequence to its current guidance. */
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
