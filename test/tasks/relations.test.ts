/** @file The definitions of tasks, checked on their pairs: output as a function of the input. */
import { describe, expect, test } from "vitest";
import type { Image } from "../../src/image/image.ts";
import { hueRotation } from "../../src/tasks/families/tone.ts";
import type { Task } from "../../src/tasks/index.ts";
import { colors } from "../../src/tasks/world/scene.ts";
import { largestDifference, pairOf, pixel, pixels, tasksOf } from "./kit.ts";

const size = 32;
const last = size - 1;

/** Checks pairs of several tasks, two scenes each, against a picture computed here. */
function expectOutput(
  family: string,
  expected: (input: Image, task: Task) => (x: number, y: number) => number[],
) {
  for (const task of tasksOf(family, 6))
    for (const scene of [0, 1]) {
      const { input, output } = pairOf(task, size, scene);
      const at = expected(input, task);
      for (const [x, y] of pixels(output)) {
        const difference = largestDifference(pixel(output, x, y), at(x, y));
        if (difference > 1e-6)
          expect.fail(`${family} ${JSON.stringify(task.parameters)} differs at ${x}, ${y}`);
      }
    }
}

const clamp = (value: number) => Math.min(Math.max(value, 0), 1);

describe("tone", () => {
  test("invert takes the named channels from one", () =>
    expectOutput(
      "invert",
      (input, { parameters }) =>
        (x, y) =>
          pixel(input, x, y).map((value, c) =>
            String(parameters.channels).includes("rgb"[c]!) ? 1 - value : value,
          ),
    ));

  test("channelPermutation reorders the channels", () =>
    expectOutput("channelPermutation", (input, { parameters }) => (x, y) => {
      const old = pixel(input, x, y);
      return [...String(parameters.order)].map((channel) => old["rgb".indexOf(channel)]!);
    }));

  test("brightness and gamma are curves of each value", () => {
    expectOutput(
      "brightness",
      (input, { parameters }) =>
        (x, y) =>
          pixel(input, x, y).map((value) => clamp(value * Number(parameters.gain))),
    );
    expectOutput(
      "gamma",
      (input, { parameters }) =>
        (x, y) =>
          pixel(input, x, y).map((value) => value ** Number(parameters.gamma)),
    );
  });

  test("exposure is undone by the gain, where nothing was clipped", () => {
    for (const task of tasksOf("exposure", 6)) {
      const { input, output } = pairOf(task, size);
      for (const [i, value] of input.data.entries())
        if (value < 1) expect(value).toBeCloseTo(output.data[i]! * Number(task.parameters.gain), 5);
    }
  });

  test("posterize leaves the given number of levels", () => {
    for (const task of tasksOf("posterize", 6)) {
      const levels = Number(task.parameters.levels);
      for (const value of pairOf(task, size).output.data) {
        const step = value * (levels - 1);
        expect(Math.abs(step - Math.round(step))).toBeLessThan(1e-5);
      }
    }
  });

  test("duotone puts every pixel on the line between its two colours", () => {
    for (const task of tasksOf("duotone", 6)) {
      const dark = colors[task.parameters.dark as keyof typeof colors];
      const light = colors[task.parameters.light as keyof typeof colors];
      const { output } = pairOf(task, size);
      for (const [x, y] of pixels(output)) {
        const [r, g, b] = pixel(output, x, y);
        const along = light.map((value, c) => value - dark[c]!);
        const share = (r - dark[0]) * along[0]! + (g - dark[1]) * along[1]! + (b - dark[2]) * along[2]!;
        const t = share / along.reduce((sum, value) => sum + value * value, 0);
        expect(
          largestDifference(
            [r, g, b],
            dark.map((value, c) => value + t * along[c]!),
          ),
        ).toBeLessThan(1e-5);
      }
    }
  });

  test("hue rotation by a third of a turn permutes the channels, and keeps gray", () => {
    const out = new Float32Array(3);
    hueRotation((2 * Math.PI) / 3)(0.1, 0.5, 0.8, out, 0);
    expect([...out].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([0.8, 0.1, 0.5]);
    hueRotation(1)(0.4, 0.4, 0.4, out, 0);
    expect(largestDifference(out, [0.4, 0.4, 0.4])).toBeLessThan(1e-6);
  });
});

describe("geometry", () => {
  test("flips mirror each row or each column", () => {
    expectOutput("flipHorizontal", (input) => (x, y) => pixel(input, last - x, y));
    expectOutput("flipVertical", (input) => (x, y) => pixel(input, x, last - y));
  });

  test("rotate turns clockwise: the left column becomes the top row after 90 degrees", () =>
    expectOutput("rotate", (input, { parameters }) => (x, y) => {
      if (parameters.degrees === 90) return pixel(input, y, last - x);
      return parameters.degrees === 180 ? pixel(input, last - x, last - y) : pixel(input, last - y, x);
    }));

  test("shift wraps around by eighths of the picture", () =>
    expectOutput("shift", (input, { parameters }) => (x, y) => {
      const step = (Number(parameters.eighths) * size) / 8;
      const { direction } = parameters;
      const dx = direction === "left" ? step : direction === "right" ? -step : 0;
      const dy = direction === "up" ? step : direction === "down" ? -step : 0;
      return pixel(input, (x + dx + size) % size, (y + dy + size) % size);
    }));

  test("shuffleQuarters moves quarters whole", () =>
    expectOutput("shuffleQuarters", (input, { parameters }) => (x, y) => {
      const half = size / 2;
      const from = Number(String(parameters.order)[2 * Math.floor(y / half) + Math.floor(x / half)]);
      return pixel(input, (x % half) + half * (from % 2), (y % half) + half * Math.floor(from / 2));
    }));

  test("mirror makes both halves alike", () => {
    for (const task of tasksOf("mirror", 4)) {
      const { input, output } = pairOf(task, size);
      const kept = task.parameters.side === "left" ? 3 : last - 3;
      for (const [x, y] of pixels(output)) expect(pixel(output, x, y)).toEqual(pixel(output, last - x, y));
      expect(pixel(output, kept, 9)).toEqual(pixel(input, kept, 9));
    }
  });

  test("frame colours the border and leaves the middle", () => {
    for (const task of tasksOf("frame", 6)) {
      const { input, output } = pairOf(task, size);
      const color = colors[task.parameters.color as keyof typeof colors];
      expect(largestDifference(pixel(output, 0, 0), color)).toBeLessThan(1e-6);
      expect(pixel(output, 16, 16)).toEqual(pixel(input, 16, 16));
    }
  });
});

describe("low-level", () => {
  const mean = ({ data }: Image) => data.reduce((sum, value) => sum + value, 0) / data.length;

  test("downsample in blocks leaves one colour per block: the block's mean", () => {
    const task = tasksOf("downsample", 40).find(
      ({ parameters }) => parameters.look === "blocks" && parameters.pixels === 8,
    )!;
    const { input, output } = pairOf(task, size);
    const cell = size / 8;
    for (const [x, y] of pixels(output)) {
      const [left, top] = [x - (x % cell), y - (y % cell)];
      const block = [...pixels(input)].filter(
        ([u, v]) => u >= left && u < left + cell && v >= top && v < top + cell,
      );
      const mean = [0, 1, 2].map(
        (c) => block.reduce((sum, [u, v]) => sum + pixel(input, u, v)[c]!, 0) / block.length,
      );
      expect(largestDifference(pixel(output, x, y), mean)).toBeLessThan(1e-5);
    }
  });

  test("lowLight darkens, blur keeps the mean and calms", () => {
    for (const task of tasksOf("lowLight", 4)) {
      const { input, output } = pairOf(task, size);
      expect(mean(output)).toBeLessThan(0.45 * mean(input));
    }
    const roughness = ({ data }: Image) => {
      let sum = 0;
      for (let i = 3; i < data.length; i++) if (i % (size * 3) >= 3) sum += Math.abs(data[i]! - data[i - 3]!);
      return sum;
    };
    for (const family of ["blur", "motionBlur"])
      for (const task of tasksOf(family, 4)) {
        const { input, output } = pairOf(task, size);
        expect(Math.abs(mean(output) - mean(input))).toBeLessThan(0.03);
        expect(roughness(output)).toBeLessThan(0.9 * roughness(input));
      }
  });

  test("rain falls with one slant in every pair of a task", () => {
    // Strokes are longest along their slant, where neighbours differ least.
    const change = (images: { input: Image; output: Image }, slant: number) => {
      const delta = images.output.data.map((value, i) => value - (0.06 + 0.84 * images.input.data[i]!));
      let [sum, count] = [0, 0];
      for (const [x, y] of pixels(images.output)) {
        const [u, v] = [Math.round(x + 5 * Math.sin(slant)), Math.round(y + 5 * Math.cos(slant))];
        if (u < 0 || u >= 64 || v >= 64) continue;
        sum += Math.abs(delta[(y * 64 + x) * 3]! - delta[(v * 64 + u) * 3]!);
        count++;
      }
      return sum / count;
    };
    const slanted = tasksOf("rain", 30).filter(({ parameters }) => Math.abs(Number(parameters.slant)) > 0.3);
    expect(slanted.length).toBeGreaterThan(5);
    for (const task of slanted.slice(0, 5))
      for (const scene of [0, 1]) {
        const slant = Number(task.parameters.slant);
        const images = pairOf(task, 64, scene);
        expect(change(images, slant)).toBeLessThan(change(images, -slant));
      }
  });

  test("holes are filled with the named colour", () => {
    for (const task of tasksOf("holes", 6)) {
      const { input, output } = pairOf(task, size);
      const color = colors[task.parameters.color as keyof typeof colors];
      let covered = 0;
      for (const [x, y] of pixels(output)) {
        if (largestDifference(pixel(output, x, y), color) < 1e-6) covered++;
        else if (task.parameters.shape === "box") expect(pixel(output, x, y)).toEqual(pixel(input, x, y));
      }
      expect(covered).toBeGreaterThan(4);
    }
  });
});

test("a sticker is always at the same place, and nothing changes beyond it", () => {
  for (const task of tasksOf("sticker", 8)) {
    const { x, y, radius } = task.parameters as Record<"x" | "y" | "radius", number>;
    const { color, shape } = task.parameters as { color: keyof typeof colors; shape: string };
    for (const scene of [0, 1]) {
      const { input, output } = pairOf(task, size, scene);
      for (let row = 0; row < size; row++)
        for (let column = 0; column < size; column++) {
          const [dx, dy] = [(column + 0.5) / size - x, (row + 0.5) / size - y];
          const [before, after] = [pixel(input, column, row), pixel(output, column, row)];
          if (Math.hypot(dx, dy) > 1.3 * radius + 1 / size) expect(after).toEqual(before);
          const isInside = Math.hypot(dx, dy) < 0.2 * radius && shape !== "ring";
          if (isInside)
            after.forEach((value, c) => {
              expect(value).toBeCloseTo(colors[color][c]!, 5);
            });
        }
    }
  }
});
