/** @file From logits to a token: guidance, temperature, top-k, top-p. */
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { areFinite } from "../../finite.ts";
import type { Random } from "../../random.ts";

/** How tokens are sampled. The descriptions are the help of the command line. */
export const samplingSchema = z.strictObject({
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("divides the logits; 0 takes the most likely token"),
  topK: z.int().min(0).default(0).describe("sample from the k most likely tokens; 0 means all"),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe("sample from the most likely tokens with this total probability"),
});

export type Sampling = z.output<typeof samplingSchema>;

const MAX_SAMPLES = 64;

/** Further settings of every request with samples. */
export const samplesSchema = z.strictObject({
  seed: z
    .int()
    .min(0)
    .optional()
    .describe("the same seed gives the same result. Defaults to a random one, which is reported"),
  samples: z.int().min(1).max(MAX_SAMPLES).default(1).describe("number of samples"),
});

/** Weight of a guidance condition. */
export const guidanceWeight = z.number().min(0).max(100);

/**
 * Classifier-free guidance over a chain of conditions (https://arxiv.org/abs/2207.12598; with three conditions in
 * https://arxiv.org/abs/2211.09800): l₀ + Σ wᵢ (lᵢ − lᵢ₋₁).
 *
 * @param chain logits under each condition, the least conditioned first
 * @param weights one per condition after the first
 */
export function guide(chain: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const mixed = chain[0]!.slice();
  for (const [i, weight] of weights.entries()) {
    const [less, more] = [chain[i]!, chain[i + 1]!];
    for (let j = 0; j < mixed.length; j++) mixed[j]! += weight * (more[j]! - less[j]!);
  }
  return mixed;
}

/**
 * A chain of conditions and the weights of the steps between them, without conditions that make no difference. Steps
 * with equal weights telescope: w (b − a) + w (c − b) = w (c − a). Last steps with weight 0 add nothing. The first step
 * leads to the first condition, with weight 1.
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
 * @param doing what the caller does, for errors: "generating"
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
  const ranking = new Ranking(logits, logits[likeliest]!, temperature);
  const total = topK > 0 ? ranking.addUp((_, count) => count >= topK).sum : ranking.total;
  const nucleus = ranking.addUp((sum, count) => sum >= topP * total || (topK > 0 && count >= topK));
  const target = random.uniform() * nucleus.sum;
  return ranking.addUp((sum) => sum > target).last;
}

/** Bins of a ranking per temperature of distance from the largest logit. */
const BINS = 8;
/** The weight of a logit this many temperatures below the largest is below half an ulp of the sum: without effect. */
const FARTHEST = 40;

/**
 * The weights of a softmax, relative to the largest, in bins from the largest to the smallest. Sums are taken over whole
 * bins, and a bin is sorted only where a sum ends inside it: sorting everything would take most of the time of sampling.
 */
class Ranking {
  /** The sum of all weights. */
  readonly total: number;
  private readonly weights: Float64Array;
  /** The bin of each logit; none for those too far away. */
  private readonly bins: Int16Array;
  private readonly sums = new Float64Array(BINS * FARTHEST);
  private readonly counts = new Uint32Array(BINS * FARTHEST);

  constructor(
    private readonly logits: Float32Array,
    largest: number,
    temperature: number,
  ) {
    this.weights = new Float64Array(logits.length);
    this.bins = new Int16Array(logits.length).fill(-1);
    for (let i = 0; i < logits.length; i++) {
      const distance = (largest - logits[i]!) / temperature;
      if (distance >= FARTHEST) continue;
      const bin = Math.floor(distance * BINS);
      this.bins[i] = bin;
      this.weights[i] = Math.exp(-distance);
      this.sums[bin]! += this.weights[i]!;
      this.counts[bin]! += 1;
    }
    this.total = this.sums.reduce((sum, weight) => sum + weight, 0);
  }

  /** Adds weights up, the largest first and equal ones in their order, until `isEnough`. @returns the last one's index */
  addUp(isEnough: (sum: number, count: number) => boolean): { readonly sum: number; readonly last: number } {
    let [sum, count, last] = [0, 0, 0];
    for (let bin = 0; bin < this.sums.length; bin++) {
      const [sumAfter, countAfter] = [sum + this.sums[bin]!, count + this.counts[bin]!];
      if (countAfter > count && isEnough(sumAfter, countAfter)) {
        for (const i of this.sorted(bin)) {
          last = i;
          sum += this.weights[i]!;
          if (isEnough(sum, ++count)) break;
        }
        return { sum, last };
      }
      [sum, count] = [sumAfter, countAfter];
    }
    // Rounding can leave the whole sum short of what is asked for.
    last = this.sorted(this.counts.findLastIndex((members) => members > 0)).at(-1)!;
    return { sum, last };
  }

  /** Indices of a bin by decreasing weight; equal weights in their order. */
  private sorted(bin: number): number[] {
    const { logits, bins } = this;
    const members: number[] = [];
    for (let i = 0; i < bins.length; i++) if (bins[i] === bin) members.push(i);
    return members.sort((a, b) => logits[b]! - logits[a]! || a - b);
  }
}

/** The index of the largest value, the first of equal ones. */
export function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
