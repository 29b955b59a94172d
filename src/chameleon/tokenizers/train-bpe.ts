/**
 * @file Trains a byte-level BPE tokenizer (Sennrich et al. 2016, arXiv 1508.07909; on bytes as in GPT-2) and writes it
 * as a Hugging Face `tokenizer.json`. The same lines give the same file, byte for byte.
 *
 * Text is split into words first, and merges never cross words. Splitting uses ASCII classes only (every other character
 * counts as a letter): Unicode classes differ between regular-expression engines and their versions, so JavaScript and
 * Python would not tokenize every text identically. A digit is always a token of its own.
 */
import type { TokenizerFile } from "./tokenizer-file.ts";
import { BYTE_CHARACTERS, buildVocabulary, isControlName } from "./vocabulary.ts";

/** A word: letters, a digit, or punctuation, each with at most one space before it; or one space or control. */
export const WORD = " ?[^\\x00-@\\[-\\x60{-\\x7F]+| ?[0-9]| ?[!-/:-@\\[-\\x60{-~]+|[\\x00-\\x20\\x7F]";

export interface TrainBpeOptions {
  /** The most merges to learn; each adds one text token. */
  readonly merges: number;
  readonly imageCodes: number;
  readonly xpTokens: number;
  /** A pair seen fewer times than this is not merged. Defaults to 2. */
  readonly minCount?: number;
}

/** Trains on `lines` and returns the whole `tokenizer.json`, with the ids of `buildVocabulary`. */
export function trainBpe(lines: Iterable<string>, options: TrainBpeOptions): TokenizerFile {
  const { imageCodes, xpTokens } = options;
  const merges = learnMerges(countWords(lines), options.merges, options.minCount ?? 2);
  const textTokens = [...BYTE_CHARACTERS, ...merges.map(([left, right]) => left + right)];
  const names = buildVocabulary({ imageCodes, xpTokens, textTokens });
  const control = names.slice(0, names.length - textTokens.length);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: control.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORD }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(names.map((name, id) => [name, id])),
      merges,
    },
  };
}

/** A distinct word of the corpus: its current symbols and its count. */
interface Word {
  symbols: string[];
  readonly count: number;
}

function countWords(lines: Iterable<string>): Word[] {
  const pattern = new RegExp(WORD, "gu");
  const utf8 = new TextEncoder();
  const counts = new Map<string, number>();
  for (const line of lines)
    for (const word of line.match(pattern) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Array.from(counts, ([word, count]) => ({
    symbols: Array.from(utf8.encode(word), (byte) => BYTE_CHARACTERS[byte]!),
    count,
  }));
}

/** The key of a pair: symbols contain no space (the character of its byte is `Ġ`), so a space separates them. */
const pairKey = (left: string, right: string): string => `${left} ${right}`;

/**
 * Merges the most frequent pair of neighbours (the first in code-unit order among equals) repeatedly. Counts are updated
 * from the words that contain the merged pair.
 */
function learnMerges(words: readonly Word[], limit: number, minCount: number): [string, string][] {
  const counts = new Map<string, number>();
  const holders = new Map<string, Set<Word>>();
  const count = (word: Word, sign: 1 | -1): void => {
    for (let i = 1; i < word.symbols.length; i++) {
      const key = pairKey(word.symbols[i - 1]!, word.symbols[i]!);
      counts.set(key, (counts.get(key) ?? 0) + sign * word.count);
      if (sign === 1) holders.set(key, (holders.get(key) ?? new Set()).add(word));
    }
  };
  for (const word of words) count(word, 1);

  const merges: [string, string][] = [];
  while (merges.length < limit) {
    const best = mostFrequent(counts);
    if (best === undefined || counts.get(best)! < minCount) break;
    const [left, right] = best.split(" ") as [string, string];
    if (isControlName(left + right)) {
      counts.set(best, Number.NEGATIVE_INFINITY);
      continue;
    }
    merges.push([left, right]);
    for (const word of holders.get(best)!) {
      count(word, -1);
      word.symbols = merged(word.symbols, left, right);
      count(word, 1);
    }
    counts.delete(best);
    holders.delete(best);
  }
  return merges;
}

function mostFrequent(counts: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined;
  let most = 0;
  for (const [key, value] of counts) {
    if (value > most || (value === most && best !== undefined && key < best)) {
      best = key;
      most = value;
    }
  }
  return best;
}

/** `symbols` with each `left right` merged, from the left. */
function merged(symbols: readonly string[], left: string, right: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const joins = symbols[i] === left && symbols[i + 1] === right;
    result.push(joins ? left + right : symbols[i]!);
    if (joins) i++;
  }
  return result;
}
