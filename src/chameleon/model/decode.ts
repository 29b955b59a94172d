/**
 * @file The decoding loop: sample the next tokens of every sequence, run the model on all of them, repeat. Pictures,
 * descriptions and completions share it; they differ in allowed tokens and guidance conditions.
 */
import type { BatchNeed } from "./admission.ts";
import { type Batch, type Prefix, prefixLength } from "./batch.ts";
import { Decoding, type Guidance, type Sequence } from "./decoding.ts";
import { draftLength, GuessRates, MAX_DRAFT } from "./draft.ts";
import type { Sampling } from "./sampling.ts";

export interface DecodeOptions {
  /** What the caller does, for errors: "generating". */
  readonly doing: string;
  readonly sampling: Sampling;
  /** The most tokens per sequence. */
  readonly maxTokens: number;
  /** The most rows of all sequences. Defaults to the number at the start. */
  readonly maxRows?: number;
  /** Whether guesses are read ahead. Defaults to true. */
  readonly draft?: boolean;
  /** Counts up. */
  readonly steps?: DecodingSteps;
  readonly signal?: AbortSignal;
}

/** What decoding took. */
export interface DecodingSteps {
  /** Runs of the model, reading the prefixes not among them. */
  runs: number;
  /** Guesses that were read ahead. */
  drafted: number;
  /** Guesses among these that were right. */
  accepted: number;
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
  const { signal, steps, draft = true } = options;
  const rates = new GuessRates();
  let live = sequences.map((sequence) => new Decoding(sequence));
  const member = await batch.join(needOf(sequences, options));
  try {
    for (;;) {
      signal?.throwIfAborted();
      await changeConditions();
      for (const each of live) {
        const { drafted, accepted } = each.choose(options, rates);
        member.rewind(each.rows, drafted - accepted);
        if (!steps) continue;
        steps.drafted += drafted;
        steps.accepted += accepted;
      }
      yield sequences.map(({ tokens }) => tokens);
      for (const each of live) if (each.isDone) member.remove(each.rows);
      live = live.filter(({ isDone }) => !isDone);
      if (live.length === 0) return;
      signal?.throwIfAborted();
      const proposed = draft ? live.map((each) => each.propose(rates)) : [];
      const count = draftLength(proposed, member.share);
      const next = live.flatMap((each) => {
        const tokens = each.read(count);
        return each.rows.map((row) => [row, tokens] as const);
      });
      await member.step(new Map(next));
      if (steps) steps.runs++;
    }
  } finally {
    member.leave();
  }

  /** Updates the rows of every sequence to its current guidance. */
  async function changeConditions(): Promise<void> {
    const changed = live.filter(({ own, guidance, sequence }) => !own || guidance !== sequence.guidance);
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
  { doing, maxTokens, maxRows, draft = true, signal }: DecodeOptions,
): BatchNeed {
  const prefixes = sequences.flatMap(({ prefix, guidance }) => [prefix, ...othersOf(guidance)]);
  return {
    doing,
    rows: maxRows ?? prefixes.length,
    slots: Math.max(...prefixes.map(prefixLength)) + maxTokens,
    perStep: draft && sequences.some(({ guess }) => guess) ? 1 + MAX_DRAFT : 1,
    signal,
  };
}
