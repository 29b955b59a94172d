/** @file From logits to a token: guidance, temperature, top-k, top-p. */
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import type { Random } from "../../random.ts";

export const samplingSchema = z.strictObject({
  /** Divides the logits; 0 takes the likeliest token. Defaults to 1. */
  temperature: z.number().min(0).max(100).describe("a number from 0 to 100").default(1),
  /** Sample from the k likeliest tokens only; 0 for all. Defaults to 0. */
  topK: z.int().min(0).describe("a whole number from 0").default(0),
  /** Sample from the likeliest tokens that make up this share of the probability. Defaults to 1. */
  topP: z.number().gt(0).max(1).describe("a number above 0, up to 1").default(1),
});

export type Sampling = z.output<typeof samplingSchema>;

/**
 * Classifier-free guidance over a chain of conditions, each adding one to the last (https://arxiv.org/abs/2207.12598,
 * three-way in https://arxiv.org/abs/2211.09800): l₀ + Σ wᵢ (lᵢ − lᵢ₋₁).
 *
 * @param chain logits of each branch, the least conditioned first
 * @param weights one for each branch after the first
 */
export function guide(chain: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const mixed = Float32Array.from(chain[0]!);
  for (const [i, weight] of weights.entries()) {
    const [less, more] = [chain[i]!, chain[i + 1]!];
    for (let j = 0; j < mixed.length; j++) mixed[j]! += weight * (more[j]! - less[j]!);
  }
  return mixed;
}

/**
 * A chain of conditions and the weight of each step between them, without the conditions that make no difference:
 * neighbouring steps of the same weight telescope, w (b − a) + w (c − b) = w (c − a), and a last step of weight 0 adds
 * nothing. The first step leads from nothing to the first condition, with weight 1.
 */
export function mergeGuidanceSteps<T>(steps: readonly { readonly condition: T; readonly weight: number }[]): {
  conditions: T[];
  weights: number[];
} {
  const last = steps.findLastIndex(({ weight }) => weight !== 0);
  const kept = steps.slice(0, last + 1);
  const needed = kept.filter(({ weight }, i) => weight !== kept[i + 1]?.weight);
  return {
    conditions: needed.map(({ condition }) => condition),
    weights: needed.slice(1).map(({ weight }) => weight),
  };
}

/**
 * The guided logits of the next token.
 * @param doing what this is for, in errors: "generating"
 * @throws XPromptError when they are not finite
 */
export function guidedLogits(
  chain: readonly Float32Array[],
  weights: readonly number[],
  doing: string,
): Float32Array {
  const guided = guide(chain, weights);
  if (!guided.every(Number.isFinite))
    throw new XPromptError(`${doing}: expected finite logits, got others (are the weights damaged?)`);
  return guided;
}

/** Samples the index of one logit. Equal logits keep their order, so that a sample depends on nothing but the numbers. */
export function sample(logits: Float32Array, { temperature, topK, topP }: Sampling, random: Random): number {
  if (temperature === 0) return argMax(logits);
  const order = descending(logits);
  const kept = Array.from(topK > 0 ? order.subarray(0, topK) : order);
  const best = logits[kept[0]!]!;
  const weights = kept.map((i) => Math.exp((logits[i]! - best) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let count = 0;
  for (let share = 0; count < kept.length && share < topP * total; count++) share += weights[count]!;
  return random.pick(kept.slice(0, count), weights.slice(0, count));
}

/**
 * Indices by falling value, equal values in their order. One number holds both, the bits of a float32 made to rise
 * as the value falls and then the index, so that a typed array sorts them: the 57,000 text tokens of a 7B in
 * milliseconds, where comparing takes tens of them.
 */
function descending(values: Float32Array): Uint32Array {
  const places = 2 ** Math.ceil(Math.log2(values.length + 1));
  const bits = new Uint32Array(values.slice().buffer);
  const keys = new Float64Array(values.length);
  for (let i = 0; i < keys.length; i++) {
    const x = values[i] === 0 ? 0 : bits[i]!; // −0 is 0
    keys[i] = (x >= 2 ** 31 ? x : 2 ** 31 - 1 - x) * places + i;
  }
  keys.sort();
  const order = new Uint32Array(keys.length);
  for (let i = 0; i < keys.length; i++) order[i] = keys[i]! % places;
  return order;
}

function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
