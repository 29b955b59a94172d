/** @file Columns of scores in figures: means, intervals, and how much of a gap an example closes. */
import type { Metric, Scoreboard } from "./conditions.ts";
import { bootstrap, type Interval, mean, meanInterval } from "./metrics/bootstrap.ts";

/** A mean with its 95% interval. */
export interface Estimate {
  readonly mean: number;
  readonly ci: Interval;
}

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
 * The share of the way from no example to having learned the task that an example goes: (with − without) / (full −
 * without). The same for metrics that are to be high and those that are to be low. Its interval takes `full` as known.
 * @param higherIsBetter whether it is a score, not an error
 * @returns undefined where having learned the task is no better than no example: there is no gap to close
 */
export function gapClosure(
  {
    withExample,
    without,
    full,
  }: Readonly<Record<"withExample" | "without", readonly number[]>> & { full: number },
  higherIsBetter: boolean,
  seed: number,
): Estimate | undefined {
  const gap = full - mean(without);
  if (higherIsBetter ? gap <= 0 : gap >= 0) return undefined;
  const share = (a: readonly number[], b: readonly number[]) => (mean(a) - mean(b)) / (full - mean(b));
  return {
    mean: share(withExample, without),
    ci: bootstrap([withExample, without], ([a, b]) => share(a!, b!), seed),
  };
}

/** The mean of one metric under every condition. */
export function meansOf(scores: Scoreboard, metric: Metric): Record<string, number> {
  const known = scores.conditions.filter((condition) => scores.column(condition, metric).length > 0);
  return Object.fromEntries(known.map((condition) => [condition, mean(scores.column(condition, metric))]));
}
