/** @file Completing a prompt: text and pictures in, text, a picture or both out, as the grammar of the mode has it. */
import { z } from "zod";
import { Random } from "../../random.ts";
import type { TextTokenizer } from "../tokenizers/text-tokenizer.ts";
import type { Vocabulary } from "../tokenizers/vocabulary.ts";
import type { Decoder } from "./decoder.ts";
import { type Grammar, type GrammarState, layOut, type Mode, modes, type PictureLayout } from "./grammar.ts";
import { Rows } from "./rows.ts";
import { choose, type Sampling, samplingSchema, telescope } from "./sampling.ts";

const MAX_SAMPLES = 64;
const weight = z.number().min(0).max(100);

/** What may be asked of `complete`. Each setting's description ends the sentence "expected …". */
export const completeSchema = samplingSchema.extend({
  mode: z.enum(modes).describe(`one of ${modes.join(", ")}`),
  maxTokens: z.int().min(1).optional().describe("a whole number from 1"),
  seed: z.int().min(0).optional().describe("a whole number from 0 to 2^53 - 1"),
  samples: z.int().min(1).max(MAX_SAMPLES).default(1).describe(`a whole number from 1 to ${MAX_SAMPLES}`),
  guidance: z
    .union([weight, z.strictObject({ image: weight.optional(), text: weight.optional() })])
    .default(1)
    .describe("a number from 0 to 100, or one for each of image and text"),
  separator: z.boolean().default(true).describe("true or false"),
});

/** How strongly drawn pictures follow the pictures and the words before them; 1 is plain sampling. */
export interface CompletionGuidance {
  readonly image: number;
  readonly text: number;
}

/** A stretch of text, or a picture's codes. */
export type PromptPiece = string | ArrayLike<number>;

/**
 * A prompt as the reference processor lays it out: `<s>`, text and pictures in order, and the separator where an answer
 * is wanted rather than a continuation. Texts that follow each other are read as one.
 */
export function promptTokens(
  pieces: readonly PromptPiece[],
  text: TextTokenizer | { encode(text: string): number[] },
  vocabulary: Vocabulary,
  layout: PictureLayout,
  separator: boolean,
): number[] {
  const tokens = [vocabulary.bos];
  let words = "";
  const endWords = () => {
    if (words !== "") tokens.push(...text.encode(words));
    words = "";
  };
  for (const piece of pieces) {
    if (typeof piece === "string") {
      words += piece;
      continue;
    }
    endWords();
    tokens.push(...layOut(layout, vocabulary, piece));
  }
  endWords();
  return separator ? [...tokens, vocabulary.sep] : tokens;
}

export interface Completing {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly grammar: Grammar;
  readonly mode: Mode;
  readonly layout: PictureLayout;
  /** What precedes a picture that is drawn under no condition. */
  readonly unconditional: readonly number[];
  /** A number is for the words, or for the pictures where there are no words. */
  readonly guidance: number | Partial<CompletionGuidance>;
  readonly samples: number;
  readonly seed: number;
  readonly sampling: Sampling;
  readonly signal?: AbortSignal;
  /** Called after each step with the tokens so far, a row for each sample. */
  onTokens?(tokens: readonly (readonly number[])[]): void | Promise<void>;
}

/** Where the logits of a sequence are: a row, seen under one condition. */
interface View {
  readonly rows: Rows;
  readonly row: number;
}

/** Conditions of a sequence, the least first, and the weights of the steps between them. */
interface Conditions {
  /** What is read under each; null is the whole sequence. */
  readonly conditions: readonly (readonly number[] | null)[];
  readonly weights: readonly number[];
}

/** One sample as it grows. */
class Sequence {
  readonly tokens: number[] = [];
  /** Tokens that its rows have yet to read. */
  readonly unread: number[] = [];
  state: GrammarState;
  /** The views of the picture that is being drawn, and their weights. */
  guided: { readonly views: readonly View[]; readonly weights: readonly number[] } | undefined;

  constructor(
    private readonly grammar: Grammar,
    readonly random: Random,
  ) {
    this.state = grammar.start;
    this.takeForced();
  }

  get ended(): boolean {
    return this.state.phase === "end";
  }

  get inPicture(): boolean {
    return this.state.phase === "picture";
  }

  /** Adds a token, and those after it that there is no choice of. */
  take(token: number): void {
    this.push(token);
    this.takeForced();
  }

  private takeForced(): void {
    for (;;) {
      const allowed = this.grammar.allowed(this.state);
      if (allowed.length !== 1) return;
      this.push(allowed[0]!);
    }
  }

  private push(token: number): void {
    this.state = this.grammar.next(this.state, token);
    this.tokens.push(token);
    this.unread.push(token);
  }
}

/**
 * Draws tokens until every sample has come to its end: `samples` rows. Sample i of a seed is the same whatever the
 * number of samples. Pictures are drawn with guidance, text never is.
 */
export async function completeTokens(
  decoder: Decoder,
  vocabulary: Vocabulary,
  request: Completing,
): Promise<number[][]> {
  const { grammar, mode, prompt, maxTokens, samples, seed, sampling, signal } = request;
  const sequences = Array.from(
    { length: samples },
    (_, i) => new Sequence(grammar, Random.of(seed, "sample", i)),
  );
  const start = [...prompt, ...sequences[0]!.tokens];
  for (const { unread } of sequences) unread.length = 0;
  // All samples of one picture go on in step, under every condition; those of text part ways.
  const whole: Conditions =
    mode === "image" ? conditionsOf(start, vocabulary, request) : { conditions: [null], weights: [] };
  const stems = whole.conditions.map((tokens) => stemOf(tokens ?? start, samples));
  const main = await Rows.start(decoder, stems, { doing: "completing", tokens: maxTokens });
  const readers = new Map([[main, whole.conditions.flatMap(() => sequences)]]);
  const mainOf = (i: number): Sequence["guided"] => ({
    views: whole.conditions.map((_, condition) => ({ rows: main, row: condition * samples + i })),
    weights: whole.weights,
  });

  for (;;) {
    signal?.throwIfAborted();
    for (const [i, sequence] of sequences.entries()) {
      if (sequence.ended || sequence.unread.length > 0) continue;
      if (sequence.inPicture) sequence.guided ??= mode === "image" ? mainOf(i) : await guidedOf(i, sequence);
      const { views, weights } = sequence.guided ?? mainOf(i)!;
      const ids = grammar.allowed(sequence.state);
      const chain = views.map(({ rows, row }) => rows.logitsOf(row, ids));
      sequence.take(ids[choose(chain, weights, sampling, sequence.random)]!);
      if (!sequence.inPicture) leave(sequence);
    }
    await request.onTokens?.(sequences.map(({ tokens }) => tokens));
    if (sequences.every(({ ended }) => ended)) return sequences.map(({ tokens }) => tokens);
    const next = new Map(
      sequences.map((each) => [each, each.ended ? vocabulary.pad : each.unread.shift()!] as const),
    );
    for (const [rows, of] of readers) await rows.read(of.map((sequence) => next.get(sequence)!));
  }

  /** Rows for a picture that begins in the middle of text, under the conditions that its own row does not have. */
  async function guidedOf(i: number, sequence: Sequence): Promise<Sequence["guided"]> {
    const { conditions, weights } = conditionsOf([...prompt, ...sequence.tokens], vocabulary, request);
    const others = conditions.filter((tokens) => tokens !== null);
    const views = conditions.map((): View => ({ rows: main, row: i }));
    if (others.length > 0) {
      const rows = await Rows.start(
        decoder,
        others.map((tokens) => stemOf(tokens, 1)),
        { doing: "completing", tokens: request.layout.length },
      );
      readers.set(
        rows,
        others.map(() => sequence),
      );
      for (const [row, tokens] of others.entries()) views[conditions.indexOf(tokens)] = { rows, row };
    }
    return { views, weights };
  }

  function leave(sequence: Sequence): void {
    for (const { rows } of sequence.guided?.views ?? []) if (rows !== main) readers.delete(rows);
    sequence.guided = undefined;
  }
}

const stemOf = (tokens: readonly number[], rows: number) => ({ blocks: [], tokens, position: 0, rows });

/**
 * The conditions under which a picture that has begun is drawn: nothing, the pictures before it, all that is before it,
 * as in Meta's own sampler.
 */
function conditionsOf(
  sequence: readonly number[],
  vocabulary: Vocabulary,
  { guidance, layout, unconditional }: Pick<Completing, "guidance" | "layout" | "unconditional">,
): Conditions {
  const begin = sequence.lastIndexOf(vocabulary.beginImage);
  const [before, begun] = [sequence.slice(0, begin), sequence.slice(begin)];
  const ofPictures = new Set(layout);
  const pictures = before.filter((id) => vocabulary.isImageToken(id) || ofPictures.has(id));
  const hasWords = before.some((id) => vocabulary.isTextToken(id));
  if (!hasWords && pictures.length === 0) return { conditions: [null], weights: [] };
  const of = hasWords ? "text" : "image";
  const weights = { image: 1, text: 1, ...(typeof guidance === "number" ? { [of]: guidance } : guidance) };
  const steps: { condition: readonly number[] | null; weight: number }[] = [
    { condition: [...unconditional, ...begun], weight: 1 },
  ];
  if (hasWords && pictures.length > 0)
    steps.push({ condition: [vocabulary.bos, ...pictures, ...begun], weight: weights.image });
  steps.push({ condition: null, weight: weights[of] });
  return telescope(steps);
}
