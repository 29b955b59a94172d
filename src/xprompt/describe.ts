/** @file Describing in words what examples change: samples text tokens given their XP blocks. */
import { Batch, type Prefix } from "../chameleon/model/batch.ts";
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { decode } from "../chameleon/model/decode.ts";
import type { Decoder } from "../chameleon/model/decoder.ts";
import type { Sequence } from "../chameleon/model/decoding.ts";
import type { Sampling } from "../chameleon/model/sampling.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { Random } from "../random.ts";
import { MOST_WORDS, queryTokens, type XPromptConfig } from "./sequence.ts";

export interface DescribeRequest {
  /** XP blocks of the examples. */
  readonly blocks: readonly CacheBlock[];
  readonly seed: number;
  readonly sampling: Sampling;
  readonly signal?: AbortSignal;
}

/** Grammar of a description: text tokens up to the end token, at most `MOST_WORDS`. */
class Words implements Sequence {
  readonly tokens: number[] = [];
  private readonly choices: Int32Array;

  constructor(
    readonly prefix: Prefix,
    readonly random: Random,
    private readonly vocabulary: Vocabulary,
  ) {
    this.choices = Int32Array.from([...vocabulary.textTokens, vocabulary.eos]);
  }

  get allowed(): Int32Array {
    const hasEnded = this.tokens.length === MOST_WORDS || this.tokens.at(-1) === this.vocabulary.eos;
    return hasEnded ? none : this.choices;
  }

  take(token: number): void {
    this.tokens.push(token);
  }
}

const none = new Int32Array();

/** @returns the text tokens of the description: at most `MOST_WORDS`, without the end token */
export async function describeChange(
  decoder: Decoder,
  vocabulary: Vocabulary,
  { todoPosition }: XPromptConfig,
  { blocks, seed, sampling, signal }: DescribeRequest,
): Promise<number[]> {
  const tokens = queryTokens(vocabulary, { instruction: [], answer: "words" });
  const words = new Words({ blocks, tokens, position: todoPosition }, Random.of(seed, "words"), vocabulary);
  const options = { doing: "describing", sampling, maxTokens: MOST_WORDS, signal };
  for await (const _ of decode(new Batch(decoder), [words], options));
  return words.tokens.filter((token) => token !== vocabulary.eos);
}
