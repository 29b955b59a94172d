/**
 * @file Learning rate schedules: a linear warm-up, then one of five shapes. The rate is a pure function of the step, so
 * that a run resumes exactly.
 *
 * | shape | after the warm-up | uses |
 * |---|---|---|
 * | `constant` | stays at the peak | |
 * | `cosine` | falls to the floor as half a cosine (Loshchilov & Hutter, arXiv 1608.03983, without restarts) | `floor` |
 * | `linear` | falls to the floor linearly | `floor` |
 * | `inverseSqrt` | peak · √(warmup / step) (Vaswani et al., arXiv 1706.03762) | |
 * | `wsd` | stays at the peak, then falls as 1 − √ (Hägele et al., arXiv 2405.18392) | `floor`, `decay` |
 */
import { z } from "zod";

export const scheduleSchema = z.strictObject({
  shape: z.enum(["constant", "cosine", "linear", "inverseSqrt", "wsd"]).default("cosine"),
  /** Number of warm-up steps. The first step has 1 / `warmup` of the peak. */
  warmup: z.int().min(0).default(0),
  /** The last learning rate, as a share of the peak. */
  floor: z.number().min(0).max(1).default(0),
  /** Length of the final decay of `wsd`, as a share of all steps. */
  decay: z.number().positive().max(1).default(0.2),
});

export type Schedule = z.output<typeof scheduleSchema>;

/**
 * The learning rate of update `step`, counted from 0, in a run of `steps` updates with the peak rate `peak`. The rate
 * reaches the floor at `step` = `steps` and stays there afterwards.
 */
export function learningRate(schedule: Schedule, step: number, steps: number, peak: number): number {
  const { warmup, floor } = schedule;
  if (step < warmup) return (peak * (step + 1)) / warmup;
  switch (schedule.shape) {
    case "constant":
      return peak;
    case "inverseSqrt":
      return peak * Math.sqrt(Math.max(warmup, 1) / Math.max(step, 1));
    case "cosine":
      return peak * mix(floor, (1 + Math.cos(Math.PI * passed(step, warmup, steps))) / 2);
    case "linear":
      return peak * mix(floor, 1 - passed(step, warmup, steps));
    case "wsd": {
      const start = Math.max(warmup, steps - Math.round(schedule.decay * steps));
      return peak * mix(floor, 1 - Math.sqrt(passed(step, start, steps)));
    }
  }
}

/** Whether two runs with different numbers of steps have the same rates in their first `done` updates. */
export function ratesAgree(schedule: Schedule, done: number, runs: readonly [number, number]): boolean {
  for (let step = 0; step < done; step++) {
    const [one, other] = runs.map((steps) => learningRate(schedule, step, steps, 1));
    if (one !== other) return false;
  }
  return true;
}

/** Progress of `step` from `start` to `end`, in [0, 1]. */
function passed(step: number, start: number, end: number): number {
  if (step >= end) return 1;
  return step > start ? (step - start) / (end - start) : 0;
}

function mix(floor: number, height: number): number {
  return floor + (1 - floor) * height;
}
