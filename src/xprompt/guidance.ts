/** @file Classifier-free guidance over the conditions of a request: picture, instruction, examples. */
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { mergeGuidanceSteps } from "../chameleon/model/sampling.ts";
import { defined } from "../settings.ts";
import type { Guidance } from "./request.ts";
import type { EncodedQuery } from "./sequence.ts";

/** How strongly to follow each condition; 1 is plain sampling. */
export interface GuidanceWeights {
  readonly image: number;
  readonly text: number;
  readonly examples: number;
}

/** Weights of a request: a single number is for the examples, or for the instruction if there are no examples. */
export function guidanceWeights(guidance: Guidance, hasExamples: boolean): GuidanceWeights {
  const plain = { image: 1, text: 1, examples: 1 };
  if (typeof guidance !== "number") return { ...plain, ...defined(guidance) };
  return hasExamples ? { ...plain, examples: guidance } : { ...plain, text: guidance };
}

/** A subset of the request's conditions: with or without picture, instruction, examples. */
export interface Condition {
  readonly blocks: readonly CacheBlock[];
  readonly query: EncodedQuery;
}

/**
 * The conditions that guidance needs, from the least to the most conditioned, with the weight of each step.
 * @param blocks XP blocks of the examples
 * @param empty XP block of the empty example, for conditions without examples
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
  // The unconditional logits l₀ are a step of weight 1.
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
