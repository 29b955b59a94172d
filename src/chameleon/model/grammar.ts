/**
 * @file The grammar of generated sequences. It restricts the next token, so that a result is always well-formed:
 *
 * | mode | result |
 * |---|---|
 * | `text` | text tokens, then the end of the turn (or the end of the budget) |
 * | `image` | one picture, nothing else |
 * | `interleaved` | text and pictures, then the end of the turn; a picture begins only if the budget allows all of it |
 *
 * States are immutable values, and the functions are pure.
 */
import { UsageError, XPromptError } from "../../errors.ts";
import type { Vocabulary } from "../tokenizers/vocabulary.ts";

export const modes = ["text", "image", "interleaved"] as const;
export type Mode = (typeof modes)[number];

/** The tokens of a picture in order: an id, or null for an image token. */
export type PictureLayout = readonly (number | null)[];

export const pictureLayouts = ["chameleon", "lumina"] as const;
export type PictureLayoutName = (typeof pictureLayouts)[number];

/**
 * The layout of a picture of `side` × `side` codes. Chameleon's is *begin*, the codes, *end*. Lumina-mGPT's
 * (https://arxiv.org/abs/2408.02657) has tokens for height and width, in units of two codes, after *begin*, and a token
 * at the end of every row of codes.
 */
export function pictureLayout(vocabulary: Vocabulary, side: number, name: PictureLayoutName): PictureLayout {
  const { beginImage, endImage } = vocabulary;
  const codes = (count: number): null[] => Array(count).fill(null);
  if (name === "chameleon") return [beginImage, ...codes(side * side), endImage];
  const size = vocabulary.reserved(LUMINA_SIZE + Math.floor(side / 2));
  const row = [...codes(side), vocabulary.reserved(LUMINA_NEW_LINE)];
  return [beginImage, size, size, ...Array.from({ length: side }, () => row).flat(), endImage];
}

/** Numbers of the `<reserved…>` tokens that Lumina-mGPT uses: the end of a row, and the one before the first size. */
const LUMINA_NEW_LINE = 8799;
const LUMINA_SIZE = 8800;

/** The tokens of a picture. */
export function layOut(layout: PictureLayout, vocabulary: Vocabulary, codes: ArrayLike<number>): number[] {
  let next = 0;
  return layout.map((token) => token ?? vocabulary.imageTokens[codes[next++]!]!);
}

/** A position in a sequence. */
export interface GrammarState {
  readonly phase: "text" | "picture" | "end";
  /** Tokens so far. */
  readonly length: number;
  /** Tokens of the picture so far. */
  readonly slot: number;
}

/** A text or a picture. */
export type Piece = { readonly text: readonly number[] } | { readonly codes: Int32Array };

export class Grammar {
  readonly start: GrammarState;
  private readonly image: Int32Array;
  private readonly ends: readonly number[];
  private readonly words: Int32Array;
  private readonly wordsAndPictures: Int32Array;

  /**
   * @param maxTokens the most tokens to generate, the end of the turn included
   * @throws UsageError when the mode requires a picture and the budget is too small for one
   */
  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly layout: PictureLayout,
    private readonly mode: Mode,
    private readonly maxTokens: number,
  ) {
    if (mode === "image" && maxTokens < layout.length)
      throw new UsageError(
        `completing: maxTokens: expected at least ${layout.length}, the length of a picture, got ${maxTokens} (use a higher value)`,
      );
    // Chameleon ends with `</s>`; in chat models with turns (Lumina-mGPT), the separator ends a turn.
    this.ends = [vocabulary.eos, vocabulary.sep];
    this.image = vocabulary.imageTokens;
    this.words = Int32Array.from([...vocabulary.textTokens, ...this.ends]).sort();
    this.wordsAndPictures = Int32Array.from([...this.words, vocabulary.beginImage]).sort();
    this.start = this.settled({ phase: "text", length: 0, slot: 0 });
  }

  /** The allowed ids of the next token; empty at the end. */
  allowed(state: GrammarState): Int32Array {
    if (state.phase === "end") return none;
    if (state.phase === "picture") {
      const token = this.layout[state.slot]!;
      return token === null ? this.image : Int32Array.of(token);
    }
    if (this.mode === "image") return Int32Array.of(this.vocabulary.beginImage);
    return this.mayBegin(state) ? this.wordsAndPictures : this.words;
  }

  /** @throws XPromptError for a token that is not allowed */
  next(state: GrammarState, token: number): GrammarState {
    if (!this.allows(state, token))
      throw new XPromptError(
        `reading tokens: expected an allowed token, got ${token} after ${state.length} (were they generated in mode ${this.mode}?)`,
      );
    const length = state.length + 1;
    if (state.phase === "picture") {
      const slot = state.slot + 1;
      if (slot < this.layout.length) return { phase: "picture", length, slot };
      return this.settled({ phase: this.mode === "image" ? "end" : "text", length, slot: 0 });
    }
    if (token === this.vocabulary.beginImage) return { phase: "picture", length, slot: 1 };
    return this.settled({ phase: this.ends.includes(token) ? "end" : "text", length, slot: 0 });
  }

  /**
   * Splits tokens into texts and pictures, of an incomplete one its codes so far; the end of the turn is left out.
   * @throws XPromptError for tokens that violate the grammar
   */
  parse(tokens: readonly number[]): Piece[] {
    const pieces: Piece[] = [];
    let [words, codes]: [number[], number[]] = [[], []];
    const endWords = () => {
      if (words.length > 0) pieces.push({ text: words });
      words = [];
    };
    const endPicture = () => {
      if (codes.length > 0) pieces.push({ codes: Int32Array.from(codes) });
      codes = [];
    };
    let state = this.start;
    for (const token of tokens) {
      state = this.next(state, token);
      if (this.vocabulary.isTextToken(token)) words.push(token);
      else endWords();
      if (this.vocabulary.isImageToken(token)) codes.push(this.vocabulary.codeOfToken[token]!);
      if (state.phase !== "picture") endPicture();
    }
    endWords();
    endPicture();
    return pieces;
  }

  private allows(state: GrammarState, token: number): boolean {
    if (state.phase === "end") return false;
    if (state.phase === "picture") {
      const expected = this.layout[state.slot]!;
      return expected === null ? this.vocabulary.isImageToken(token) : token === expected;
    }
    if (token === this.vocabulary.beginImage) return this.mayBegin(state);
    return this.mode !== "image" && (this.vocabulary.isTextToken(token) || this.ends.includes(token));
  }

  private mayBegin({ length }: GrammarState): boolean {
    return this.mode !== "text" && this.maxTokens - length >= this.layout.length;
  }

  /** The state, or the end state if the budget is used up. */
  private settled(state: GrammarState): GrammarState {
    return state.length < this.maxTokens ? state : { ...state, phase: "end" };
  }
}

const none = new Int32Array();
