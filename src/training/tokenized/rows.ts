/**
 * @file Contexts as rows of token ids, and back. A row is one context: its sequences one after the other, the examples
 * first, without padding. Every token has the id of its group:
 *
 * | group | tokens |
 * |---|---|
 * | 0 | IE: an example |
 * | 1 | XP: the block after it |
 * | 2 | TD: what a TODO part is given |
 * | 3 | TD: its answer |
 */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import type { Vocabulary } from "../../chameleon/tokenizers/vocabulary.ts";
import { XPromptError } from "../../errors.ts";
import { type Codes, exampleTokens, queryTokens, targetTokens } from "../../xprompt/sequence.ts";
import type { Context, TodoPart } from "../transformer/context.ts";
import type { BatchKind, ContextBatch } from "../transformer/contexts.ts";

const groupIds = { example: 0, xp: 1, query: 2, answer: 3 } as const;

export interface TokenRow {
  /** "train", or the held-out part that the context belongs to. */
  readonly part: string;
  /** Number of the batch within its part; the rows of a batch follow each other. */
  readonly batch: number;
  readonly kind: BatchKind;
  /** Token ids, `[length]`. */
  readonly tokens: readonly number[];
  /** Group id of each token, `[length]`. */
  readonly groups: readonly number[];
  /** Tokens of each sequence: examples, then TODO parts. */
  readonly lengths: readonly number[];
}

/**
 * The rows of a batch without noise.
 * @param xpTokens S: tokens of an XP block
 */
export function rowsOf(
  part: string,
  batch: number,
  { kind, contexts }: ContextBatch<Codes>,
  xpTokens: number,
  vocabulary: Vocabulary,
): TokenRow[] {
  return contexts.map(({ examples, todos }) => {
    const tokens: number[] = [];
    const groups: number[] = [];
    const lengths: number[] = [];
    const add = (...parts: readonly (readonly [ids: readonly number[], group: number])[]) => {
      const start = tokens.length;
      for (const [ids, group] of parts)
        for (const id of ids) {
          tokens.push(id);
          groups.push(group);
        }
      lengths.push(tokens.length - start);
    };
    for (const example of examples) {
      const all = exampleTokens(vocabulary, example, xpTokens);
      const shown = all.length - xpTokens;
      add([all.slice(0, shown), groupIds.example], [all.slice(shown), groupIds.xp]);
    }
    for (const { input, instruction, target } of todos) {
      const answer = "words" in target ? "words" : "picture";
      add(
        [queryTokens(vocabulary, { input, instruction, answer }), groupIds.query],
        [targetTokens(vocabulary, target), groupIds.answer],
      );
    }
    return { part, batch, kind, tokens, groups, lengths };
  });
}

/** The batches of rows that follow each other. @throws XPromptError for rows that are no contexts */
export function batchesOf(rows: readonly TokenRow[], tokenizers: Tokenizers): ContextBatch<Codes>[] {
  const batches: { kind: BatchKind; contexts: Context<Codes>[] }[] = [];
  let last: TokenRow | undefined;
  for (const row of rows) {
    const isNext = row.part !== last?.part || row.batch !== last.batch;
    if (isNext) batches.push({ kind: row.kind, contexts: [] });
    batches.at(-1)!.contexts.push(contextOf(row, tokenizers));
    last = row;
  }
  return batches;
}

function contextOf({ tokens, groups, lengths }: TokenRow, { text, image }: Tokenizers): Context<Codes> {
  const reader = new SequenceReader(text.vocabulary, image.codesPerImage);
  const examples: Context<Codes>["examples"][number][] = [];
  const todos: TodoPart<Codes>[] = [];
  let start = 0;
  for (const length of lengths) {
    const ids = tokens.slice(start, start + length);
    const ends = groups.slice(start, start + length);
    /** Tokens up to the second group of the sequence: the XP block, or the answer. */
    const first = ends.findIndex((group) => group === groupIds.xp || group === groupIds.answer);
    if (first < 0 || ids.length !== length) throw broken("sequences with an XP block or an answer", "others");
    const given = ids.slice(0, first);
    if (ends[first] === groupIds.xp) examples.push(reader.example(given));
    else todos.push(reader.todo(given, ids.slice(first)));
    start += length;
  }
  if (examples.length === 0 || todos.length === 0)
    throw broken("an example and a TODO part", "neither or one");
  return { examples, todos };
}

/** Reads sequences by the table of `xprompt/sequence.ts`. */
class SequenceReader {
  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly codesPerImage: number,
  ) {}

  /** An example without its XP block: `<s>` *instruction* ⟨input⟩ ⟨output⟩. */
  example(tokens: readonly number[]): Context<Codes>["examples"][number] {
    const shown = tokens.slice(1);
    if (shown.length === 0) return null;
    const words = shown.length - 2 * this.pictureLength;
    if (words < 0) throw broken("two whole pictures", `${shown.length} tokens`);
    return {
      input: this.picture(shown.slice(words, words + this.pictureLength)),
      output: this.picture(shown.slice(words + this.pictureLength)),
      instruction: shown.slice(0, words),
    };
  }

  /** *sep* *instruction* ⟨query⟩ and the token that asks; then the answer and `</s>`. */
  todo(given: readonly number[], answer: readonly number[]): TodoPart<Codes> {
    const { beginImage, endImage } = this.vocabulary;
    const asked = given.slice(1, -1);
    const words = asked.at(-1) === endImage ? asked.length - this.pictureLength : asked.length;
    const made = answer.slice(0, -1);
    const isPicture = given.at(-1) === beginImage;
    return {
      ...(words < asked.length && { input: this.picture(asked.slice(Math.max(0, words))) }),
      instruction: asked.slice(0, Math.max(0, words)),
      target: isPicture ? { picture: this.picture([beginImage, ...made]) } : { words: made },
    };
  }

  private get pictureLength(): number {
    return this.codesPerImage + 2;
  }

  private picture(tokens: readonly number[]): Codes {
    const { beginImage, endImage, codeOfToken } = this.vocabulary;
    const codes = Int32Array.from(tokens.slice(1, -1), (token) => codeOfToken[token] ?? -1);
    const isWhole =
      tokens.length === this.pictureLength && tokens[0] === beginImage && tokens.at(-1) === endImage;
    if (!isWhole || codes.includes(-1))
      throw broken(`a picture of ${this.codesPerImage} codes`, `${tokens.length} tokens that are none`);
    return codes;
  }
}

const broken = (expected: string, got: string): XPromptError =>
  new XPromptError(`reading tokens: expected ${expected}, got ${got} (tokenize the data again)`);
