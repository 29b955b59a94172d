import { describe, expect, test } from "vitest";
import { learningRate, type Schedule, scheduleSchema } from "../../../src/training/optimizer/schedule.ts";

const schedule = (settings: Partial<Schedule>) => scheduleSchema.parse(settings);
const at = (settings: Partial<Schedule>, step: number) => learningRate(schedule(settings), step, 110, 2);

describe("learningRate", () => {
  test.each(["constant", "cosine", "linear", "inverseSqrt", "wsd"] as const)(
    "%s warms up in a line",
    (shape) => {
      const settings = { shape, warmup: 10 };
      expect(at(settings, 0)).toBeCloseTo(0.2, 12);
      expect(at(settings, 4)).toBeCloseTo(1, 12);
      expect(at(settings, 9)).toBe(2);
      expect(at(settings, 10)).toBe(2);
      expect(at({ shape }, 0)).toBe(2);
    },
  );

  test.each([
    [1, 0.2],
    [2, 0.2],
    [40, 0.01],
  ])("in %i steps, of which a share of %d decays, every rate is a number", (steps, decay) => {
    const rates = Array.from({ length: steps }, (_, step) =>
      learningRate(schedule({ shape: "wsd", decay }), step, steps, 2),
    );
    expect(rates).toEqual(rates.map(() => 2));
  });

  test("constant stays at the peak", () => {
    expect(at({ shape: "constant", warmup: 10, floor: 0.5 }, 109)).toBe(2);
  });

  // 100 steps follow the warm-up: cos 60° = 1/2, cos 90° = 0, cos 120° = −1/2.
  test("cosine is at 3/4, 1/2 and 1/4 after a third, half and two thirds of the decay", () => {
    const settings: Partial<Schedule> = { shape: "cosine", warmup: 10 };
    expect(learningRate(schedule(settings), 10 + 100 / 3, 110, 2)).toBeCloseTo(1.5, 12);
    expect(at(settings, 60)).toBeCloseTo(1, 12);
    expect(learningRate(schedule(settings), 10 + 200 / 3, 110, 2)).toBeCloseTo(0.5, 12);
    expect(at(settings, 110)).toBeCloseTo(0, 12);
    expect(at({ ...settings, floor: 0.1 }, 60)).toBeCloseTo(2 * 0.55, 12);
    expect(at({ ...settings, floor: 0.1 }, 110)).toBeCloseTo(0.2, 12);
  });

  test("linear falls by the same amount at every step", () => {
    const settings: Partial<Schedule> = { shape: "linear", warmup: 10, floor: 0.25 };
    expect(at(settings, 35)).toBeCloseTo(2 * (0.25 + 0.75 * 0.75), 12);
    expect(at(settings, 85)).toBeCloseTo(2 * (0.25 + 0.75 * 0.25), 12);
    expect(at(settings, 110)).toBeCloseTo(0.5, 12);
  });

  test("inverseSqrt halves when the step is four times the warm-up", () => {
    expect(at({ shape: "inverseSqrt", warmup: 10 }, 40)).toBeCloseTo(1, 12);
    expect(at({ shape: "inverseSqrt", warmup: 10 }, 90)).toBeCloseTo(2 / 3, 12);
    expect(at({ shape: "inverseSqrt" }, 100)).toBeCloseTo(0.2, 12);
  });

  // The last 0.4 · 110 = 44 steps fall as 1 − √u: from step 66 on, 1/2 of it at u = 1/4.
  test("wsd stays at the peak, then falls as 1 − √", () => {
    const settings: Partial<Schedule> = { shape: "wsd", warmup: 10, decay: 0.4 };
    expect(at(settings, 66)).toBe(2);
    expect(at(settings, 67)).toBeLessThan(2);
    expect(at(settings, 77)).toBeCloseTo(1, 12);
    expect(at({ ...settings, floor: 0.2 }, 77)).toBeCloseTo(2 * 0.6, 12);
    expect(at({ ...settings, floor: 0.2 }, 110)).toBeCloseTo(0.4, 12);
  });

  test("a decay never begins before the end of the warm-up", () => {
    expect(at({ shape: "wsd", warmup: 50, decay: 1 }, 50)).toBe(2);
    expect(at({ shape: "wsd", warmup: 50, decay: 1 }, 65)).toBeCloseTo(1, 12);
  });

  test("stays at the floor after the end, also without steps after the warm-up", () => {
    for (const shape of ["cosine", "linear", "wsd"] as const) {
      expect(at({ shape, warmup: 10, floor: 0.1 }, 500)).toBeCloseTo(0.2, 12);
      expect(at({ shape, warmup: 110, floor: 0.1 }, 110)).toBeCloseTo(0.2, 12);
    }
  });
});

test("scheduleSchema refuses invalid settings", () => {
  for (const wrong of [
    { warmup: -1 },
    { warmup: 0.5 },
    { floor: 2 },
    { decay: 0 },
    { shape: "sine" },
    { peak: 1 },
  ]) {
    expect(scheduleSchema.safeParse(wrong).success).toBe(false);
  }
});
