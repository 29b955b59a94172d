/** @file Saying in words what examples change: their XP blocks are seen, and words drawn one after another to the end. */
import type { CacheBlock } from "../chameleon/model/cache.ts";
import type { Decoder } from "../chameleon/model/decoder.ts";
import { type Sampling, sample } from "../chameleon/model/sampling.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { XPromptError } from "../errors.ts";
import { Random } from "../random.ts";
import { MOST_WORDS, queryTokens, type XPromptConfig } from "./sequence.ts";

export interface Describing {
  /** XP blocks of the examples. */
  readonly blocks: readonly CacheBlock[];
  readonly seed: number;
  readonly sampling: Sampling;
  readonly signal?: AbortSignal;
}

/**
 * The text tokens that say what the examples change; nothing but text tokens and the end can be drawn.
 * @returns at most `MOST_WORDS` tokens, without the end
 */
export async function describeChange(
  decoder: Decoder,
  vocabulary: Vocabulary,
  { todoPosition }: XPromptConfig,
  { blocks, seed, sampling, signal }: Describing,
): Promise<number[]> {
  const cache = decoder.newCache(1);
  for (const block of blocks) cache.append(0, block);
  const allowed = [...vocabulary.textTokens, vocabulary.eos];
  const random = Random.of(seed, "words");
  const words: number[] = [];
  let tokens = queryTokens(vocabulary, { instruction: [], answer: "words" });
  for (let position = todoPosition; ; position += tokens.length, tokens = [words.at(-1)!]) {
    signal?.throwIfAborted();
    const logits = await decoder.read([{ tokens, positions: tokens.map((_, i) => position + i) }], cache);
    const choices = Float32Array.from(allowed, (token) => logits[token]!);
    if (!choices.every(Number.isFinite))
      throw new XPromptError("describing: expected finite logits, got others (are the weights damaged?)");
    const token = allowed[sample(choices, sampling, random)]!;
    if (token === vocabulary.eos) return words;
    words.push(token);
    if (words.length === MOST_WORDS) return words;
  }
}
