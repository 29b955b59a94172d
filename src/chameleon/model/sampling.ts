/** @file From logits to a token: guidance, temperature, top-k, top-p. */
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { pickWeighted, type Random } from "../../random.ts";

/** How tokens are sampled. Descriptions are the help of the command line. */
export const samplingSchema = z.strictObject({
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("divides the logits; 0 takes the likeliest token each time"),
  topK: z.int().min(0).default(0).describe("sample from the k likeliest tokens; 0 for all"),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe("sample from the likeliest tokens that make up this share of the probability"),
});

export type Sampling = z.output<typeof samplingSchema>;

const MAX_SAMPLES = 64;

/** What every request for samples has besides. */
export const samplesSchema = z.strictObject({
  seed: z
    .int()
    .min(0)
    .optional()
    .describe("the same seed gives the same result. Defaults to a random one, which is reported"),
  samples: z.int().min(1).max(MAX_SAMPLES).default(1).describe("how many to make"),
});

/** Weight of a condition in guidance. */
export const guidanceWeight = z.number().min(0).max(100);

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
  if (!areFinite(guided))
    throw new XPromptError(`${doing}: expected finite logits, got others (are the weights damaged?)`);
  return guided;
}

/**
 * Samples the index of one logit. Equal logits keep their order, so that a sample depends on nothing but the numbers.
 * @param random of which one number is used, or none at temperature 0
 */
export function sample(
  logits: Float32Array,
  { temperature, topK, topP }: Sampling,
  random: Pick<Random, "uniform">,
): number {
  const likeliest = argMax(logits);
  if (temperature === 0) return likeliest;
  // Weights are relative to the largest, which is 1.
  const best = logits[likeliest]!;
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < weights.length; i++) weights[i] = Math.exp((logits[i]! - best) / temperature);
  const least = Math.exp(topK > 0 ? -NEGLIGIBLE : -nucleusRange(weights, topP));
  const order = descending(logits, (i) => weights[i]! >= least);
  const kept = topK > 0 ? order.subarray(0, topK) : order;
  const total = topK > 0 ? kept.reduce((sum, i) => sum + weights[i]!, 0) : sumFrom(weights, 0);
  let count = 0;
  for (let share = 0; count < kept.length && share < topP * total; count++) share += weights[kept[count]!]!;
  const nucleus = [...kept.subarray(0, count)];
  return pickWeighted(
    nucleus,
    nucleus.map((i) => weights[i]!),
    random.uniform(),
  );
}

/** A weight below e^−40 of the largest is below half a unit in the last place of the sum: it changes nothing. */
const NEGLIGIBLE = 40;

/** How far below the largest logit, in temperatures, the tokens reach that make up a share of the probability. */
function nucleusRange(weights: Float64Array, topP: number): number {
  const wanted = topP * sumFrom(weights, 0) * (1 + 1e-9);
  return [2, 4, 6, 8, 12].find((range) => sumFrom(weights, Math.exp(-range)) >= wanted) ?? NEGLIGIBLE;
}

function sumFrom(weights: Float64Array, least: number): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i]! >= least) sum += weights[i]!;
  return sum;
}

/**
 * Indices of the values that count by falling value, equal values in their order. One number holds both, the bits of
 * a float32 made to rise as the value falls and then the index, so that a typed array sorts them: the 57,000 text tokens
 * of a 7B in milliseconds, where comparing takes tens of them.
 */
function descending(values: Float32Array, counts: (index: number) => boolean): Uint32Array {
  const places = 2 ** Math.ceil(Math.log2(values.length + 1));
  const bits = new Uint32Array(values.slice().buffer);
  const keys = new Float64Array(values.length);
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (!counts(i)) continue;
    const x = values[i] === 0 ? 0 : bits[i]!; // −0 is 0
    keys[count++] = (x >= 2 ** 31 ? x : 2 ** 31 - 1 - x) * places + i;
  }
  keys.subarray(0, count).sort();
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = keys[i]! % places;
  return order;
}

function areFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return false;
  return true;
}

function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
