/** @file Confidence intervals: the percentile bootstrap (Efron, 1979), and Wilson's score interval (1927) for shares. */
import { clamp } from "../../numbers.ts";
import { Random } from "../../random.ts";

/** Lower and upper end. */
export type Interval = readonly [low: number, high: number];

const RESAMPLES = 1000;
const CONFIDENCE = 0.95;

/** A mean, or another statistic, with its 95% interval. */
export interface Estimate {
  readonly mean: number;
  readonly ci: Interval;
}

/** Paired columns: the same samples under several conditions. */
export type Columns = readonly (readonly number[])[];

/**
 * The 95% interval of a statistic by resampling with replacement. Paired columns use the same resampled indices.
 * @param columns columns of equal length, with at least one sample
 */
export const bootstrap = (
  columns: Columns,
  statistic: (columns: Columns) => number,
  seed: number,
): Interval => intervalOf(resampled([columns], ([resample]) => statistic(resample!), seed));

/**
 * A statistic of 1,000 resamples. Columns of a group are resampled together; groups are resampled independently.
 * @param groups each a group of columns of equal length, with at least one sample
 */
export function resampled(
  groups: readonly Columns[],
  statistic: (groups: readonly Columns[]) => number,
  seed: number,
): number[] {
  const random = Random.of(seed, "bootstrap");
  const resample = (columns: Columns): Columns => {
    const count = columns[0]!.length;
    const indices = Array.from({ length: count }, () => random.integer(0, count - 1));
    return columns.map((column) => indices.map((i) => column[i]!));
  };
  return Array.from({ length: RESAMPLES }, () => statistic(groups.map(resample)));
}

/** The central 95% of the resampled values, which may be infinite. @throws RangeError when one is not a number */
export function intervalOf(values: readonly number[]): Interval {
  if (values.some(Number.isNaN)) throw new RangeError("interval: expected numbers, got NaN");
  const sorted = values.toSorted((a, b) => a - b);
  return [quantile(sorted, (1 - CONFIDENCE) / 2), quantile(sorted, (1 + CONFIDENCE) / 2)];
}

/** Interpolates linearly, as numpy does. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low === high || low === -Infinity ? low : low + (high - low) * (at - Math.floor(at));
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The 95% interval of a mean. */
export const meanInterval = (values: readonly number[], seed: number): Interval =>
  bootstrap([values], ([column]) => mean(column!), seed);

/** The normal distribution has 95% of its mass within this number of standard deviations. */
export const NORMAL_95 = 1.959964;

/**
 * Wilson's 95% interval of a share. A bootstrap of nothing but zeros would claim to be certain.
 * @param values zeros and ones, at least one
 */
export function shareInterval(values: readonly number[]): Interval {
  const share = mean(values);
  const z2 = NORMAL_95 ** 2 / values.length;
  const centre = share + z2 / 2;
  const half = Math.sqrt(z2 * (share * (1 - share) + z2 / 4));
  return [clamp((centre - half) / (1 + z2)), clamp((centre + half) / (1 + z2))];
}
