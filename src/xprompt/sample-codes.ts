/** @file Sampling image codes: all samples and guidance conditions of a request are rows of one batch. */
import type { Batch, Prefix } from "../chameleon/model/batch.ts";
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { type DecodingSteps, decode } from "../chameleon/model/decode.ts";
import type { Guidance, Sequence } from "../chameleon/model/decoding.ts";
import type { Guess } from "../chameleon/model/draft.ts";
import type { Sampling } from "../chameleon/model/sampling.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { Random } from "../random.ts";
import { CodeGuesses } from "./code-guesses.ts";
import { type GuidanceWeights, guidanceConditions } from "./guidance.ts";
import { type Codes, type EncodedQuery, queryTokens, type XPromptConfig } from "./sequence.ts";

export interface SampleRequest {
  /** XP blocks of the examples. */
  readonly blocks: readonly CacheBlock[];
  /** XP block of the empty example, for conditions without examples. */
  readonly empty: CacheBlock;
  readonly query: EncodedQuery;
  /** Codes per picture. */
  readonly codes: number;
  readonly samples: number;
  readonly seed: number;
  readonly sampling: Sampling;
  readonly guidance: GuidanceWeights;
  /** Whether codes are drafted ahead. Defaults to true. */
  readonly draft?: boolean;
  /** Counts up. */
  readonly steps?: DecodingSteps;
  readonly signal?: AbortSignal;
  /** Called before each code with the guided logits of all image codes. */
  onLogits?(at: { readonly sample: number; readonly place: number }, logits: Float32Array): void;
}

/** Grammar of a picture: a fixed number of image tokens. */
class PictureSequence implements Sequence {
  readonly tokens: number[] = [];
  readonly codes: number[] = [];
  private readonly guesses: CodeGuesses;

  constructor(
    readonly prefix: Prefix,
    readonly guidance: Guidance,
    readonly random: Random,
    private readonly vocabulary: Vocabulary,
    private readonly length: number,
    input: Codes | undefined,
    private readonly onLogits?: (place: number, logits: Float32Array) => void,
  ) {
    this.guesses = new CodeGuesses(this.codes, length, input);
  }

  get allowed(): Int32Array {
    return this.codes.length < this.length ? this.vocabulary.imageTokens : none;
  }

  guess(ahead: number): Guess | undefined {
    const guess = this.guesses.at(ahead);
    return guess && { token: this.vocabulary.imageTokens[guess.code]!, kind: guess.kind };
  }

  observe(logits: Float32Array): void {
    this.onLogits?.(this.codes.length, logits);
  }

  take(token: number): void {
    this.tokens.push(token);
    this.codes.push(this.vocabulary.codeOfToken[token]!);
    this.guesses.learn();
  }
}

const none = new Int32Array();

/**
 * Samples the image codes of `samples` pictures. With plain weights, sample i of a seed is the same whatever the number of
 * samples, and whatever else is in the batch (see `Batch`).
 * @returns after each code the codes so far, `[samples][step]`
 */
export async function* sampleCodes(
  batch: Batch,
  vocabulary: Vocabulary,
  config: XPromptConfig,
  request: SampleRequest,
): AsyncGenerator<readonly (readonly number[])[]> {
  const { samples, sampling, draft, steps, signal } = request;
  const { prefixes, weights } = conditionsOf(vocabulary, config, request);
  const guidance: Guidance = { conditions: [...prefixes.slice(0, -1), null], weights };
  const sequences = Array.from(
    { length: samples },
    (_, i) =>
      new PictureSequence(
        prefixes.at(-1)!,
        guidance,
        randomOf(request, i),
        vocabulary,
        request.codes,
        request.query.input,
        (place, logits) => request.onLogits?.({ sample: i, place }, logits),
      ),
  );
  let step = 0;
  for await (const _ of decode(batch, sequences, {
    doing: "generating",
    sampling,
    maxTokens: request.codes,
    draft,
    steps,
    signal,
  })) {
    // A run may give several codes, and not as many of each sample.
    const whole = Math.min(...sequences.map(({ codes }) => codes.length));
    while (step < whole) {
      signal?.throwIfAborted();
      step++;
      yield sequences.map(({ codes }) => codes.slice(0, step));
    }
  }
}

/** The prefix of each guidance condition, the least conditioned first, and the weights of the steps between them. */
export function conditionsOf(
  vocabulary: Vocabulary,
  config: XPromptConfig,
  request: SampleRequest,
): { readonly prefixes: Prefix[]; readonly weights: readonly number[] } {
  const { conditions, weights } = guidanceConditions(request);
  const prefixes = conditions.map(
    ({ blocks, query }): Prefix => ({
      blocks,
      tokens: queryTokens(vocabulary, query),
      position: config.todoPosition,
    }),
  );
  return { prefixes, weights };
}

/** Source of randomness of sample `i`. */
export const randomOf = ({ seed }: SampleRequest, i: number): Random => Random.of(seed, "sample", i);

/** Length of the TODO part before the first code, under the longest condition. */
export function promptLength(vocabulary: Vocabulary, request: SampleRequest): number {
  const { conditions } = guidanceConditions(request);
  return Math.max(...conditions.map(({ query }) => queryTokens(vocabulary, query).length));
}
