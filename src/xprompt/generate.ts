/** @file Drawing a picture: prompts into the cache, then one code after another, all samples and branches in a batch. */

import type { CacheBlock, KeyValueCache } from "../chameleon/cache.ts";
import type { Decoder, Stretch } from "../chameleon/decoder.ts";
import { guide, type Sampling, sample } from "../chameleon/sampling.ts";
import type { Vocabulary } from "../chameleon/vocabulary.ts";
import { XPromptError } from "../errors.ts";
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

/**
 * The branches that the guidance needs, the least conditioned first, and the weight of every step between them.
 * Neighbouring steps of the same weight telescope, w (b − a) + w (c − b) = w (c − a), and a last step of weight 0 adds
 * nothing: such branches are left out.
 */
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
  const steps = [{ branch, weight: 1 }];
  const add = (present: boolean, more: Partial<Branch>, weight: number) => {
    if (!present) return;
    branch = { ...branch, ...more };
    steps.push({ branch, weight });
  };
  add(query.input !== undefined, { query: { ...branch.query, input: query.input } }, guidance.image);
  add(query.instruction.length > 0, { query }, guidance.text);
  add(blocks.length > 0, { blocks }, guidance.examples);
  while (steps.at(-1)!.weight === 0) steps.pop();
  const needed = steps.filter(({ weight }, i) => weight !== steps[i + 1]?.weight);
  return {
    branches: needed.map((step) => step.branch),
    weights: needed.slice(1).map((step) => step.weight),
  };
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
  const cache = decoder.newCache(branches.length * samples);
  const [vocabularySize, promptLengths] = [decoder.config.vocabularySize, [] as number[]];
  let logits: Float32Array = new Float32Array(cache.rows * vocabularySize);
  for (const [i, branch] of branches.entries()) {
    const prefix = await readPrefix(decoder, vocabulary, config, branch);
    promptLengths.push(prefix.tokens);
    for (let sampleIndex = 0; sampleIndex < samples; sampleIndex++) {
      const row = i * samples + sampleIndex;
      for (const block of [...branch.blocks, prefix.block]) cache.append(row, block);
      logits.set(prefix.logits, row * vocabularySize);
    }
  }
  const random = Array.from({ length: samples }, (_, i) => Random.of(seed, "sample", i));
  const codes: number[][] = Array.from({ length: samples }, () => []);
  for (let step = 0; step < drawing.codes; step++) {
    signal?.throwIfAborted();
    for (let i = 0; i < samples; i++) {
      const chain = branches.map((_, b) =>
        codeLogits(logits, (b * samples + i) * vocabularySize, vocabulary),
      );
      const mixed = guide(chain, weights);
      if (!mixed.every(Number.isFinite))
        throw new XPromptError("drawing: expected finite logits, got others (are the weights damaged?)");
      codes[i]!.push(sample(mixed, sampling, random[i]!));
    }
    await drawing.onCode?.(codes);
    if (step === drawing.codes - 1) break;
    const next = promptLengths.flatMap((length) => {
      const positions = [config.todoPosition + length + step];
      return codes.map((row): Stretch => ({ tokens: [vocabulary.imageTokens[row.at(-1)!]!], positions }));
    });
    logits = await decoder.read(next, cache);
  }
  return { codes, promptTokens: Math.max(...promptLengths) };
}

/** A branch's TODO tokens, read once for all its samples. */
async function readPrefix(
  decoder: Decoder,
  vocabulary: Vocabulary,
  config: XPromptConfig,
  { blocks, query }: Branch,
): Promise<{ block: CacheBlock; logits: Float32Array; tokens: number }> {
  const cache: KeyValueCache = decoder.newCache(1);
  for (const block of blocks) cache.append(0, block);
  const tokens = queryTokens(vocabulary, query);
  const start = cache.lengths[0]!;
  const logits = await decoder.read(
    [{ tokens, positions: tokens.map((_, i) => config.todoPosition + i) }],
    cache,
  );
  return { block: cache.block(0, start, tokens.length), logits, tokens: tokens.length };
}

/** The logits of the image codes in one row, by code. */
function codeLogits(logits: Float32Array, start: number, { imageTokens }: Vocabulary): Float32Array {
  return Float32Array.from(imageTokens, (token) => logits[start + token]!);
}
