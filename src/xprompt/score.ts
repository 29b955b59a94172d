/** @file The likelihood of a given picture as the answer: a forward pass over its codes, without sampling. */
import type { CacheBlock } from "../chameleon/model/cache.ts";
import type { Decoder } from "../chameleon/model/decoder.ts";
import { pick } from "../chameleon/model/decoding.ts";
import { guidedLogits } from "../chameleon/model/sampling.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { type Codes, type EncodedQuery, queryTokens, type XPromptConfig } from "./sequence.ts";

export interface Scored {
  /** XP blocks of the examples, or of the empty example. */
  readonly blocks: readonly CacheBlock[];
  readonly query: EncodedQuery;
  /** Codes of the picture. */
  readonly target: Codes;
}

/**
 * Negative log-likelihood of each target code in nats, given the codes before it: −log p over all image codes.
 * @throws XPromptError when logits are not finite
 */
export async function codeNats(
  decoder: Decoder,
  vocabulary: Vocabulary,
  { todoPosition }: XPromptConfig,
  { blocks, query, target }: Scored,
): Promise<number[]> {
  const cache = decoder.newCache(1);
  for (const block of blocks) cache.append(0, block);
  const prefix = queryTokens(vocabulary, query);
  const read = Array.from(target, (code) => vocabulary.imageTokens[code]!).slice(0, -1);
  const from = (start: number, tokens: readonly number[]) => ({
    tokens,
    positions: tokens.map((_, i) => todoPosition + start + i),
  });
  // The target is generated code by code, so attention within it is causal, not bidirectional.
  await decoder.forward([from(0, prefix.slice(0, -1))], cache);
  const logits = await decoder.forwardAll(from(prefix.length - 1, [prefix.at(-1)!, ...read]), cache);
  const { vocabularySize } = decoder.config;
  return Array.from(target, (code, i) => {
    const row = logits.subarray(i * vocabularySize, (i + 1) * vocabularySize);
    const choices = guidedLogits([pick(row, vocabulary.imageTokens)], [], "scoring");
    const most = choices.reduce((a, b) => Math.max(a, b));
    const total = choices.reduce((sum, choice) => sum + Math.exp(choice - most), 0);
    return most + Math.log(total) - choices[code]!;
  });
}
