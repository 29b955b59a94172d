/** @file Columns of scores in figures: means, intervals, and how much of a gap an example closes. */
import { bootstrap, type Estimate, intervalOf, mean, meanInterval, resampled } from "./metrics/bootstrap.ts";
import type { Metric, Scoreboard } from "./scores.ts";

/** Undefined where there is nothing to estimate from. */
export function estimate(values: readonly number[], seed: number): Estimate | undefined {
  return values.length > 0 ? { mean: mean(values), ci: meanInterval(values, seed) } : undefined;
}

/** How much the first column is above the second, sample by sample. */
export const difference = (a: readonly number[], b: readonly number[], seed: number): Estimate => ({
  mean: mean(a) - mean(b),
  ci: bootstrap([a, b], ([x, y]) => mean(x!) - mean(y!), seed),
});

/**
 * The share of pictures whose error is smaller in the first column than in the second. Equal errors count as not smaller.
 */
export const shareBetter = (a: readonly number[], b: readonly number[], seed: number): Estimate | undefined =>
  estimate(
    a.map((error, i) => (error < b[i]! ? 1 : 0)),
    seed,
  );

/** Scores of a model that was trained on the task. */
export interface TrainedScores {
  readonly values: readonly number[];
  /** Whether they are of the samples that the other columns are of: then they are drawn anew together. */
  readonly sameSamples: boolean;
}

/** The gap must be there in this share of the resamples. */
const HAS_GAP = 0.975;

/**
 * The share of the way from no example to having learned the task that an example goes: (with − without) / (full −
 * without). The same for metrics that are to be high and those that are to be low. All three columns are drawn anew for
 * its interval.
 * @param higherIsBetter whether it is a score, not an error
 * @returns undefined where having learned the task is not better than no example beyond chance: there is no gap to close
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
  const gapOf = ([, none, trained]: [number, number, number]) => (higherIsBetter ? 1 : -1) * (trained - none);
  const shareOf = ([shown, none, trained]: [number, number, number]) => (shown - none) / (trained - none);
  const hasGap = resampled(groups, (drawn) => (gapOf(means(drawn)) > 0 ? 1 : 0), seed);
  if (gapOf(means(groups)) <= 0 || mean(hasGap) < HAS_GAP) return undefined;
  const shares = resampled(groups, (drawn) => shareOf(means(drawn)), seed);
  return { mean: shareOf(means(groups)), ci: intervalOf(shares) };
}

/**
 * Values that have the mean of an estimate, and whose bootstrap has about the width of its interval: for estimates that
 * were stored without their samples.
 */
export function standIn({ mean: centre, ci: [low, high] }: Estimate, count: number): number[] {
  const deviation = ((high - low) / 2 / NORMAL_95) * Math.sqrt(count);
  const isOdd = count % 2 === 1;
  return Array.from({ length: count }, (_, i) =>
    isOdd && i === count - 1 ? centre : centre + (i % 2 === 0 ? deviation : -deviation),
  );
}

/** Standard deviations from the middle of a normal distribution to the end of its middle 95%. */
const NORMAL_95 = 1.96;

/** The mean of one metric under every condition. */
export function meansOf(scores: Scoreboard, metric: Metric): Record<string, number> {
  const known = scores.conditions.filter((condition) => scores.column(condition, metric).length > 0);
  return Object.fromEntries(known.map((condition) => [condition, mean(scores.column(condition, metric))]));
}
