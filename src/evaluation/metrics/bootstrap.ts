/** @file Confidence intervals by the percentile bootstrap (Efron, 1979): how much a mean owes to the samples drawn. */
import { Random } from "../../random.ts";

/** Low and high end. */
export type Interval = readonly [low: number, high: number];

const RESAMPLES = 1000;
const CONFIDENCE = 0.95;

/**
 * The 95% interval of a statistic of samples that are drawn anew with replacement. Several columns that belong
 * together sample by sample (the same pictures under several conditions) are drawn together.
 * @param columns equally long, at least one sample
 */
export function bootstrap(
  columns: readonly (readonly number[])[],
  statistic: (columns: readonly (readonly number[])[]) => number,
  seed: number,
): Interval {
  const count = columns[0]!.length;
  const random = Random.of(seed, "bootstrap");
  const values = Array.from({ length: RESAMPLES }, () => {
    const drawn = Array.from({ length: count }, () => random.integer(0, count - 1));
    return statistic(columns.map((column) => drawn.map((i) => column[i]!)));
  }).sort((a, b) => a - b);
  return [quantile(values, (1 - CONFIDENCE) / 2), quantile(values, (1 + CONFIDENCE) / 2)];
}

/** Linear between the neighbours, as numpy does. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low === high ? low : low + (high - low) * (at - Math.floor(at));
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The 95% interval of a mean. */
export const meanInterval = (values: readonly number[], seed: number): Interval =>
  bootstrap([values], ([column]) => mean(column!), seed);
