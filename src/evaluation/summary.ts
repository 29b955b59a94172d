/** @file Summarizes columns of scores: means, intervals, differences, and gap closure. */
import {
  bootstrap,
  type Estimate,
  intervalOf,
  mean,
  meanInterval,
  NORMAL_95,
  resampled,
  shareInterval,
} from "./metrics/bootstrap.ts";
import type { Metric, Scoreboard } from "./scores.ts";

/** The mean with its interval; undefined without values. */
export function estimate(values: readonly number[], seed: number): Estimate | undefined {
  return values.length > 0 ? { mean: mean(values), ci: meanInterval(values, seed) } : undefined;
}

/** The share of ones among zeros and ones, with its interval; undefined without values. */
export function shareEstimate(values: readonly number[]): Estimate | undefined {
  return values.length > 0 ? { mean: mean(values), ci: shareInterval(values) } : undefined;
}

/** The mean of a metric: a share for `success`. */
export const estimateOf = (metric: Metric, values: readonly number[], seed: number): Estimate | undefined =>
  metric === "success" ? shareEstimate(values) : estimate(values, seed);

/** The mean difference a − b of paired columns, with its interval. */
export const difference = (a: readonly number[], b: readonly number[], seed: number): Estimate => ({
  mean: mean(a) - mean(b),
  ci: bootstrap([a, b], ([x, y]) => mean(x!) - mean(y!), seed),
});

/**
 * The share of pictures with a smaller error in the first column than in the second. Equal errors do not count.
 */
export const shareBetter = (a: readonly number[], b: readonly number[]): Estimate | undefined =>
  shareEstimate(a.map((error, i) => (error < b[i]! ? 1 : 0)));

/** Scores of a model that was trained on the task. */
export interface TrainedScores {
  readonly values: readonly number[];
  /** Whether the samples are the same as those of the other columns. Then all are resampled together. */
  readonly sameSamples: boolean;
}

/** The gap must be positive in this share of the resamples. */
const HAS_GAP = 0.975;

/**
 * The share of the gap between no example and a model trained on the task that one example closes:
 * (with − without) / (full − without). The formula is the same for scores and for errors. The interval comes from
 * resampling all three columns. In a resample without a gap, the share is unbounded, with the sign of the benefit: an end
 * of the interval may be infinite.
 * @param higherIsBetter true for scores, false for errors
 * @returns undefined when the trained model is not significantly better than no example, so that there is no gap
 */
export function gapClosure(
  {
    withExample,
    without,
    full,
  }: Readonly<Record<"withExample" | "without", readonly number[]>> & { readonly full: TrainedScores },
  higherIsBetter: boolean,
  seed: number,
): Estimate | undefined {
  const own = [withExample, without];
  const groups = full.sameSamples ? [[...own, full.values]] : [own, [full.values]];
  const means = (columns: readonly (readonly (readonly number[])[])[]) =>
    columns.flat().map(mean) as [number, number, number];
  const sign = higherIsBetter ? 1 : -1;
  const gapOf = ([, none, trained]: [number, number, number]) => sign * (trained - none);
  const shareOf = (of: [number, number, number]) => {
    const benefit = sign * (of[0] - of[1]);
    return benefit === 0 ? 0 : benefit / Math.max(gapOf(of), 0);
  };
  const hasGap = resampled(groups, (resample) => (gapOf(means(resample)) > 0 ? 1 : 0), seed);
  if (gapOf(means(groups)) <= 0 || mean(hasGap) < HAS_GAP) return undefined;
  const shares = resampled(groups, (resample) => shareOf(means(resample)), seed);
  return { mean: shareOf(means(groups)), ci: intervalOf(shares) };
}

/**
 * Values with the mean of an estimate whose bootstrap interval has about the same width. Replaces the samples of
 * estimates that were stored without them.
 */
export function syntheticValues({ mean: centre, ci: [low, high] }: Estimate, count: number): number[] {
  const deviation = ((high - low) / 2 / NORMAL_95) * Math.sqrt(count);
  const isOdd = count % 2 === 1;
  return Array.from({ length: count }, (_, i) =>
    isOdd && i === count - 1 ? centre : centre + (i % 2 === 0 ? deviation : -deviation),
  );
}

/** The means of one metric, by condition. */
export function meansOf(scores: Scoreboard, metric: Metric): Record<string, number> {
  const known = scores.conditions.filter((condition) => scores.column(condition, metric).length > 0);
  return Object.fromEntries(known.map((condition) => [condition, mean(scores.column(condition, metric))]));
}
