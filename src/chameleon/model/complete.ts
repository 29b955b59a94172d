/** @file Completing a prompt: text and pictures in; text, a picture or both out, according to the mode's grammar. */
import { z } from "zod";
import { Random } from "../../random.ts";
import type { TextTokenizer } from "../tokenizers/text-tokenizer.ts";
import type { Vocabulary } from "../tokenizers/vocabulary.ts";
import { Batch, type Prefix } from "./batch.ts";
import { decode } from "./decode.ts";
import type { Decoder } from "./decoder.ts";
import type { Guidance, Sequence } from "./decoding.ts";
import { type Grammar, type GrammarState, layOut, type Mode, modes, type PictureLayout } from "./grammar.ts";
import {
  guidanceWeight,
  mergeGuidanceSteps,
  type Sampling,
  samplesSchema,
  samplingSchema,
} from "./sampling.ts";

/** The settings of `complete`. The descriptions are the help of the command line. */
export const completeSchema = z.strictObject({
  mode: z.enum(modes).describe("what to generate"),
  maxTokens: z
    .int()
    .min(1)
    .optional()
    .describe(
      "the most tokens to generate. Defaults to 256 for text, the length of a picture for image, their sum for interleaved",
    ),
  ...samplesSchema.shape,
  ...samplingSchema.shape,
  guidance: z
    .union([
      guidanceWeight,
      z.strictObject({ image: guidanceWeight.optional(), text: guidanceWeight.optional() }),
    ])
    .default(1)
    .describe(
      "how strongly pictures follow the text of the prompt (or its pictures, without text), or one number per condition, such as image=2,text=3",
    ),
  separator: z
    .boolean()
    .default(true)
    .describe("end the prompt with the separator, which asks for an answer"),
});
/** The settings as a caller passes them. */
export type CompleteSettings = z.input<typeof completeSchema>;

/** How strongly generated pictures follow the pictures and the text before them; 1 is plain sampling. */
export interface CompletionGuidance {
  readonly image: number;
  readonly text: number;
}

/** A text, or the codes of a picture. */
type PromptPiece = string | ArrayLike<number>;

/**
 * The tokens of a prompt, laid out as by the reference processor: `<s>`, text and pictures in order, then the separator
 * to ask for an answer instead of a continuation. Consecutive texts are encoded as one.
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

interface CompletionRequest {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly grammar: Grammar;
  readonly mode: Mode;
  readonly layout: PictureLayout;
  /** The tokens before a picture that is sampled without condition. */
  readonly unconditional: readonly number[];
  /** A number is for the text, or for the pictures if there is no text. */
  readonly guidance: number | Partial<CompletionGuidance>;
  readonly samples: number;
  readonly seed: number;
  readonly sampling: Sampling;
  readonly signal?: AbortSignal;
}

/** A sample in progress. Pictures are sampled with guidance, text without. */
class CompletionSequence implements Sequence {
  readonly tokens: number[] = [];
  private state: GrammarState;
  /** Guidance of the current picture. */
  private current: Guidance | undefined;

  constructor(
    private readonly grammar: Grammar,
    readonly random: Random,
    readonly prefix: Prefix,
    private readonly guidanceOf: (tokens: readonly number[]) => Guidance,
  ) {
    this.state = grammar.start;
  }

  get allowed(): Int32Array {
    return this.grammar.allowed(this.state);
  }

  get guidance(): Guidance | undefined {
    if (this.state.phase !== "picture") return undefined;
    this.current ??= this.guidanceOf(this.tokens);
    return this.current;
  }

  take(token: number): void {
    this.state = this.grammar.next(this.state, token);
    this.tokens.push(token);
    if (this.state.phase !== "picture") this.current = undefined;
  }
}

/**
 * Completes a prompt with `samples` sequences. Sample i of a seed does not depend on the number of samples, with plain
 * weights (see `Batch`).
 * @returns after each step the tokens so far of every sample; the arrays grow in place
 */
export async function* completeTokens(
  decoder: Decoder,
  vocabulary: Vocabulary,
  request: CompletionRequest,
): AsyncGenerator<readonly (readonly number[])[]> {
  const { grammar, mode, prompt, maxTokens, samples, seed, sampling, signal } = request;
  const forced = forcedTokens(grammar);
  const start = [...prompt, ...forced];
  // In mode "image" all samples have the same conditions; otherwise they depend on the sampled text.
  const whole = mode === "image" ? conditionsOf(start, vocabulary, request) : undefined;
  const prefix = prefixOf(whole?.conditions.at(-1) ?? start);
  const fromStart = whole && {
    conditions: [...whole.conditions.slice(0, -1).map((tokens) => prefixOf(tokens ?? start)), null],
    weights: whole.weights,
  };
  const guidanceOf = (tokens: readonly number[]): Guidance => {
    const { conditions, weights } = conditionsOf([...prompt, ...tokens], vocabulary, request);
    return { conditions: conditions.map((condition) => condition && prefixOf(condition)), weights };
  };
  const sequences = Array.from({ length: samples }, (_, i) => {
    const random = Random.of(seed, "sample", i);
    const sequence = new CompletionSequence(
      grammar,
      random,
      prefix,
      fromStart ? () => fromStart : guidanceOf,
    );
    for (const token of forced) sequence.take(token);
    return sequence;
  });
  yield* decode(new Batch(decoder), sequences, {
    doing: "completing",
    sampling,
    maxTokens,
    ...(mode === "interleaved" && { maxRows: samples * (request.guidance === 1 ? 1 : MOST_CONDITIONS) }),
    signal,
  });
}

/** Conditions of a picture: nothing, the pictures before it, everything before it. */
const MOST_CONDITIONS = 3;

/** The initial tokens that have no alternative. */
function forcedTokens(grammar: Grammar): number[] {
  const tokens: number[] = [];
  for (let state = grammar.start; ; ) {
    const allowed = grammar.allowed(state);
    if (allowed.length !== 1) return tokens;
    tokens.push(allowed[0]!);
    state = grammar.next(state, allowed[0]!);
  }
}

const prefixOf = (tokens: readonly number[]): Prefix => ({ blocks: [], tokens, position: 0 });

/** The conditions of a picture, the least conditioned first, and the weights of the steps between them. */
interface Conditions {
  /** The tokens of each condition; null means the whole sequence. */
  readonly conditions: readonly (readonly number[] | null)[];
  readonly weights: readonly number[];
}

/**
 * The conditions of a picture that has begun: nothing, the pictures before it, everything before it, as in Meta's
 * sampler.
 */
function conditionsOf(
  sequence: readonly number[],
  vocabulary: Vocabulary,
  { guidance, layout, unconditional }: Pick<CompletionRequest, "guidance" | "layout" | "unconditional">,
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
  return mergeGuidanceSteps(steps);
}
