/** @file Drawing a picture: prompts into the cache, then one code after another, all samples and branches in a batch. */

import type { CacheBlock } from "../chameleon/model/cache.ts";
import type { Decoder } from "../chameleon/model/decoder.ts";
import { Rows } from "../chameleon/model/rows.ts";
import { choose, type Sampling, telescope } from "../chameleon/model/sampling.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { Random } from "../random.ts";
import { type EncodedQuery, queryTokens, type XPromptConfig } from "./sequence.ts";

/** How strongly each condition is followed; 1 is plain sampling. */
export interface GuidanceWeights {
  readonly image: number;
  readonly text: number;
  readonly examples: number;
}

export interface Drawing {
  /** XP blocks of the examples. */
  readonly blocks: readonly CacheBlock[];
  /** XP block of the empty example: what the branches without examples see. */
  readonly empty: CacheBlock;
  readonly query: EncodedQuery;
  readonly codes: number;
  readonly samples: number;
  readonly seed: number;
  readonly sampling: Sampling;
  readonly guidance: GuidanceWeights;
  readonly signal?: AbortSignal;
  /** Called after each code with the codes so far, a row for each sample. */
  onCode?(codes: readonly (readonly number[])[]): Promise<void>;
}

export interface Drawn {
  /** `samples` rows of `codes` each. */
  readonly codes: number[][];
  /** Tokens of the TODO part that were read before the first code. */
  readonly promptTokens: number;
}

/** One way of seeing the request: with or without its picture, its words, its examples. */
interface Branch {
  readonly blocks: readonly CacheBlock[];
  readonly query: EncodedQuery;
}

/** The branches that the guidance needs, the least conditioned first, and the weight of every step between them. */
export function branchesOf({
  blocks,
  empty,
  query,
  guidance,
}: Pick<Drawing, "blocks" | "empty" | "query" | "guidance">): {
  branches: Branch[];
  weights: number[];
} {
  // l₀ itself is a step of weight 1, from nothing.
  let branch: Branch = { blocks: [empty], query: { instruction: [] } };
  const steps = [{ condition: branch, weight: 1 }];
  const add = (present: boolean, more: Partial<Branch>, weight: number) => {
    if (!present) return;
    branch = { ...branch, ...more };
    steps.push({ condition: branch, weight });
  };
  add(query.input !== undefined, { query: { ...branch.query, input: query.input } }, guidance.image);
  add(query.instruction.length > 0, { query }, guidance.text);
  add(blocks.length > 0, { blocks }, guidance.examples);
  const { conditions, weights } = telescope(steps);
  return { branches: conditions, weights };
}

/**
 * Draws `codes` image codes for each sample. Sample i of a seed is the same whatever the number of samples; between
 * *begin* and *end of image* nothing but image codes can be drawn.
 */
export async function draw(
  decoder: Decoder,
  vocabulary: Vocabulary,
  config: XPromptConfig,
  drawing: Drawing,
): Promise<Drawn> {
  const { samples, seed, sampling, signal } = drawing;
  const { branches, weights } = branchesOf(drawing);
  const stems = branches.map(({ blocks, query }) => ({
    blocks,
    tokens: queryTokens(vocabulary, query),
    position: config.todoPosition,
    rows: samples,
  }));
  const rows = await Rows.start(decoder, stems, { doing: "generating", tokens: drawing.codes });
  const random = Array.from({ length: samples }, (_, i) => Random.of(seed, "sample", i));
  const codes: number[][] = Array.from({ length: samples }, () => []);
  for (let step = 0; step < drawing.codes; step++) {
    signal?.throwIfAborted();
    for (let i = 0; i < samples; i++) {
      const chain = branches.map((_, b) => rows.logitsOf(b * samples + i, vocabulary.imageTokens));
      codes[i]!.push(choose(chain, weights, sampling, random[i]!));
    }
    await drawing.onCode?.(codes);
    if (step === drawing.codes - 1) break;
    const next = codes.map((row) => vocabulary.imageTokens[row.at(-1)!]!);
    await rows.read(branches.flatMap(() => next));
  }
  return { codes, promptTokens: Math.max(...stems.map(({ tokens }) => tokens.length)) };
}
