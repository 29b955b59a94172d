/** @file Classifier-free guidance over the conditions of a request: its picture, its words, its examples. */
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { mergeGuidanceSteps } from "../chameleon/model/sampling.ts";
import type { Guidance } from "./request.ts";
import type { EncodedQuery } from "./sequence.ts";

/** How strongly each condition is followed; 1 is plain sampling. */
export interface GuidanceWeights {
  readonly image: number;
  readonly text: number;
  readonly examples: number;
}

/** The weights that a request means: one number is for the examples, or for the words where there are no examples. */
export function guidanceWeights(guidance: Guidance, hasExamples: boolean): GuidanceWeights {
  const plain = { image: 1, text: 1, examples: 1 };
  if (typeof guidance !== "number") return { ...plain, ...guidance };
  return hasExamples ? { ...plain, examples: guidance } : { ...plain, text: guidance };
}

/** One way of seeing a request: with or without its picture, its words, its examples. */
export interface Condition {
  readonly blocks: readonly CacheBlock[];
  readonly query: EncodedQuery;
}

/**
 * The conditions that the guidance needs, the least conditioned first, and the weight of every step between them.
 * @param blocks XP blocks of the examples
 * @param empty XP block of the empty example, which conditions without examples see
 */
export function guidanceConditions({
  blocks,
  empty,
  query,
  guidance,
}: Condition & { readonly empty: CacheBlock; readonly guidance: GuidanceWeights }): {
  conditions: Condition[];
  weights: number[];
} {
  // l₀ itself is a step of weight 1, from nothing.
  let condition: Condition = { blocks: [empty], query: { instruction: [] } };
  const steps = [{ condition, weight: 1 }];
  const add = (present: boolean, more: Partial<Condition>, weight: number) => {
    if (!present) return;
    condition = { ...condition, ...more };
    steps.push({ condition, weight });
  };
  add(query.input !== undefined, { query: { ...condition.query, input: query.input } }, guidance.image);
  add(query.instruction.length > 0, { query }, guidance.text);
  add(blocks.length > 0, { blocks }, guidance.examples);
  return mergeGuidanceSteps(steps);
}
