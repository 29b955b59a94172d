/** @file Metrics of pictures, and scores by condition. */

/** Metrics of a picture. `success` exists only for edits of a scene. */
export const metricNames = ["psnr", "ssim", "rmse", "success"] as const;
export type Metric = (typeof metricNames)[number];
export type Scores = Partial<Record<Metric, number>>;

/** Scores by condition, each a column of one value per sample. */
export class Scoreboard {
  private readonly scores = new Map<string, Scores[]>();

  add(condition: string, scores: Scores): void {
    this.scores.set(condition, [...(this.scores.get(condition) ?? []), scores]);
  }

  get conditions(): string[] {
    return [...this.scores.keys()];
  }

  /** Values of one metric, one per sample; empty if it was not measured. */
  column(condition: string, metric: Metric): number[] {
    return (this.scores.get(condition) ?? []).flatMap((scores) => scores[metric] ?? []);
  }
}
