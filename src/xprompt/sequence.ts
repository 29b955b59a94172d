/**
 * @file The token sequences of X-Prompt.
 *
 * | part | tokens |
 * |---|---|
 * | example (IE, XP) | `<s>` *instruction* ⟨input⟩ ⟨output⟩ XP × S |
 * | empty example | `<s>` XP × S |
 * | TODO, image to image | *sep* *instruction* ⟨query⟩ → ⟨target⟩ `</s>` |
 * | TODO, text to image | *sep* *caption* → ⟨target⟩ `</s>` |
 * | TODO, describe the example's change | *sep* *sep* → *words* `</s>` |
 * | TODO, describe a picture | *sep* ⟨query⟩ *sep* → *words* `</s>` |
 *
 * ⟨picture⟩ is *begin of image*, its codes, *end of image*. Instructions may be empty. The model generates what follows
 * →. *begin of image* asks for a picture, a second *sep* asks for words.
 */
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import type { RecommendedSampling } from "./request.ts";

/** Image codes of a picture, `[grid²]`. */
export type Codes = ArrayLike<number>;

/** Replaces a code that is hidden from the model, which gets `<pad>` there. */
export const HIDDEN_CODE = -1;

/** One example in tokens: a before → after pair and its instruction, which may be empty. */
export interface EncodedExample {
  readonly input: Codes;
  readonly output: Codes;
  /** Text tokens. */
  readonly instruction: readonly number[];
}

/** The request in tokens: with a picture, or from text alone. */
export interface EncodedQuery {
  readonly input?: Codes;
  readonly instruction: readonly number[];
  /** The kind of answer. Defaults to "picture". */
  readonly answer?: Answer;
}

/** The kinds of answer that a TODO part can ask for. */
export type Answer = "picture" | "words";

/** The answer of a TODO part: the codes of a picture, or text tokens. */
export type EncodedTarget = { readonly picture: Codes } | { readonly words: readonly number[] };

/** The most text tokens of an answer in words. */
export const MOST_WORDS = 32;

/** Sizes of the method, stored in `config.json` under `xprompt`. */
export interface XPromptConfig {
  /** S: XP tokens per example. */
  readonly tokens: number;
  /** Position of the first token of every TODO part; beyond the end of the longest example. */
  readonly todoPosition: number;
  /** The most text tokens of an instruction. Where a picture is missing, a caption may also use its space. */
  readonly maxTextTokens: number;
  /** What a TODO part sees of an example. Defaults to "xprompt". */
  readonly mask?: ExampleMask;
  /** Recommended sampling: the defaults of `generate`. */
  readonly sampling?: RecommendedSampling;
}

/**
 * What a TODO part sees of an example: its XP block ("xprompt", the paper's mask), or all of it ("causal", the paper's
 * comparison).
 */
export const exampleMasks = ["xprompt", "causal"] as const;
export type ExampleMask = (typeof exampleMasks)[number];

/** Tokens of a picture, begin and end tokens included. */
export function pictureTokens(vocabulary: Vocabulary, codes: Codes): number[] {
  return [
    vocabulary.beginImage,
    ...Array.from(codes, (code) => (code === HIDDEN_CODE ? vocabulary.pad : vocabulary.imageTokens[code]!)),
    vocabulary.endImage,
  ];
}

/** An example with its XP block; `null` means the empty example. */
export function exampleTokens(
  vocabulary: Vocabulary,
  example: EncodedExample | null,
  xpTokens: number,
): number[] {
  const shown = example
    ? [
        ...example.instruction,
        ...pictureTokens(vocabulary, example.input),
        ...pictureTokens(vocabulary, example.output),
      ]
    : [];
  return [vocabulary.bos, ...shown, ...vocabulary.xp.slice(0, xpTokens)];
}

/** A TODO part up to the token that asks for the answer. */
export function queryTokens(
  vocabulary: Vocabulary,
  { input, instruction, answer = "picture" }: EncodedQuery,
): number[] {
  const query = input ? pictureTokens(vocabulary, input) : [];
  const ask = answer === "picture" ? vocabulary.beginImage : vocabulary.sep;
  return [vocabulary.sep, ...instruction, ...query, ask];
}

/** The tokens after `queryTokens`, in training. */
export function targetTokens(vocabulary: Vocabulary, target: EncodedTarget): number[] {
  const made = "words" in target ? target.words : pictureTokens(vocabulary, target.picture).slice(1);
  return [...made, vocabulary.eos];
}

/** Length of the longest example, its XP block included. */
export const longestExample = (
  { tokens, maxTextTokens }: Pick<XPromptConfig, "tokens" | "maxTextTokens">,
  codesPerImage: number,
): number => 1 + maxTextTokens + 2 * (codesPerImage + 2) + tokens;

/** Position of TODO parts: the next multiple of 64 after the longest example. */
export const todoPositionAfter = (
  sizes: Pick<XPromptConfig, "tokens" | "maxTextTokens">,
  codesPerImage: number,
): number => 64 * Math.ceil(longestExample(sizes, codesPerImage) / 64);

/** How many tokens of the longest TODO part are read: all but the last token of its answer. */
export const longestTodo = (
  { maxTextTokens }: Pick<XPromptConfig, "maxTextTokens">,
  codesPerImage: number,
): number => Math.max(1 + maxTextTokens + 2 * (codesPerImage + 2), 2 + codesPerImage + 2 + MOST_WORDS + 1);

/** The most text tokens in a sequence with `pictures` pictures. Without a query picture, text may use its space. */
export function textLimit({ maxTextTokens }: XPromptConfig, pictures: number, codesPerImage: number): number {
  return pictures > 0 ? maxTextTokens : maxTextTokens + codesPerImage + 2;
}
