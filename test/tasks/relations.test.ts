/** @file The definitions of tasks, checked on their pairs: output as a function of the input. */
import { describe, expect, test } from "vitest";
import type { Image } from "../../src/image/image.ts";
import { hueRotation } from "../../src/tasks/families/tone.ts";
import { drawScene, renderScene, type Task } from "../../src/tasks/index.ts";
import { colors } from "../../src/tasks/world/scene.ts";
import { largestDifference, pairOf, pairRandom, pixel, pixels, tasksOf } from "./kit.ts";

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
        if (!(difference <= 1e-6))
          // NaN too
          expect.fail(`${family} ${JSON.stringify(task.parameters)} differs at ${x}, ${y}`);
      }
    }
}

/** The brightness of a color for the eye (Rec. 601). */
const luma = ([r, g, b]: number[]) => 0.299 * r! + 0.587 * g! + 0.114 * b!;
const colorOf = (name: unknown) => colors[name as keyof typeof colors];
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

  test("contrast and solarize are curves of each value", () => {
    expectOutput(
      "contrast",
      (input, { parameters }) =>
        (x, y) =>
          pixel(input, x, y).map((value) => clamp(0.5 + (value - 0.5) * Number(parameters.gain))),
    );
    expectOutput(
      "solarize",
      (input, { parameters }) =>
        (x, y) =>
          pixel(input, x, y).map((value) => (value > Number(parameters.threshold) ? 1 - value : value)),
    );
  });

  test("grayscale shows luma or one channel", () =>
    expectOutput("grayscale", (input, { parameters }) => (x, y) => {
      const color = pixel(input, x, y);
      const gray = { luma: luma(color), red: color[0], blue: color[2] }[String(parameters.mode)]!;
      return [gray, gray, gray];
    }));

  test("saturation scales the distance from luma", () =>
    expectOutput("saturation", (input, { parameters }) => (x, y) => {
      const color = pixel(input, x, y);
      return color.map((value) => clamp(luma(color) + (value - luma(color)) * Number(parameters.gain)));
    }));

  test("tint blends with luma in shades of the color, whose largest channel is scaled to 0.85", () =>
    expectOutput("tint", (input, { parameters }) => {
      const color = colorOf(parameters.color);
      const strength = Number(parameters.strength);
      return (x, y) => {
        const old = pixel(input, x, y);
        const shade = color.map((value) => luma(old) * (0.35 + (0.85 * value) / Math.max(...color)));
        return old.map((value, c) => clamp((1 - strength) * value + strength * shade[c]!));
      };
    }));

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

  test("hueRotation turns colors about the gray axis (Rodrigues' formula)", () =>
    expectOutput("hueRotation", (input, { parameters }) => {
      const angle = 2 * Math.PI * Number(parameters.turns);
      return (x, y) => {
        const color = pixel(input, x, y);
        const mean = (color[0] + color[1] + color[2]) / 3;
        return color.map((value, c) => {
          const across = (color[(c + 2) % 3]! - color[(c + 1) % 3]!) / Math.sqrt(3);
          return clamp(mean + (value - mean) * Math.cos(angle) + across * Math.sin(angle));
        });
      };
    }));

  test("colorCorners permutes the corners of the color cube", () =>
    expectOutput("colorCorners", (input, { parameters }) => (x, y) => {
      const [r, g, b] = pixel(input, x, y).map((value) => (value > 0.5 ? 1 : 0));
      const to = Number(String(parameters.order)[r! + 2 * g! + 4 * b!]);
      return [to % 2, Math.floor(to / 2) % 2, Math.floor(to / 4)];
    }));

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

  test("transpose mirrors at a diagonal", () =>
    expectOutput("transpose", (input, { parameters }) => (x, y) => {
      return parameters.diagonal === "main" ? pixel(input, y, x) : pixel(input, last - y, last - x);
    }));

  test("swapHalves shifts by half the picture", () =>
    expectOutput("swapHalves", (input, { parameters }) => (x, y) => {
      const half = size / 2;
      return parameters.axis === "left and right"
        ? pixel(input, (x + half) % size, y)
        : pixel(input, x, (y + half) % size);
    }));

  test("tile repeats the picture smaller: means of 2 × 2 pixels, or the middle ones of 3 × 3", () =>
    expectOutput("tile", (input, { parameters }) => (x, y) => {
      if (parameters.count === 3) return pixel(input, (3 * x + 1) % size, (3 * y + 1) % size);
      const four = [0, 1].flatMap((i) =>
        [0, 1].map((j) => pixel(input, (2 * x + i) % size, (2 * y + j) % size)),
      );
      return [0, 1, 2].map((c) => four.reduce((sum, color) => sum + color[c]!, 0) / 4);
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

  /** The color between pixels, by linear interpolation. */
  const between = (image: Image, x: number, y: number): number[] => {
    const [u, v] = [clamp(x / last) * last, clamp(y / last) * last];
    const [left, top] = [Math.min(Math.floor(u), last - 1), Math.min(Math.floor(v), last - 1)];
    const row = (at: number) => {
      const [a, b] = [pixel(image, left, at), pixel(image, left + 1, at)];
      return a.map((value, c) => value + (u - left) * (b[c]! - value));
    };
    const [a, b] = [row(top), row(top + 1)];
    return a.map((value, c) => value + (v - top) * (b[c]! - value));
  };

  test("zoomIn enlarges about its point", () =>
    expectOutput("zoomIn", (input, { parameters }) => (x, y) => {
      const [factor, u, v] = [parameters.factor, parameters.x, parameters.y].map(Number);
      const from = (at: number, middle: number) => middle * last + (at - middle * last) / factor!;
      return between(input, from(x, u!), from(y, v!));
    }));

  test("wave shifts rows or columns by a sine", () =>
    expectOutput("wave", (input, { parameters }) => (x, y) => {
      const [waves, height, phase] = [parameters.waves, parameters.height, parameters.phase].map(Number);
      const shift = (along: number) =>
        height! * size * Math.sin(2 * Math.PI * waves! * (along / size) + phase!);
      return parameters.direction === "sideways"
        ? between(input, x + shift(y), y)
        : between(input, x, y + shift(x));
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

  test("vignette fades to its color with the distance from the middle", () =>
    expectOutput("vignette", (input, { parameters }) => {
      const start = Number(parameters.start);
      return (x, y) => {
        const radius = Math.hypot((x + 0.5) / size - 0.5, (y + 0.5) / size - 0.5);
        const cover = clamp((1.2 * (radius - start)) / (0.7 - start));
        const color = colorOf(parameters.color);
        return pixel(input, x, y).map((value, c) => (1 - cover) * value + cover * color[c]!);
      };
    }));

  test("haze covers by Beer–Lambert's law of the depth", () => {
    const airs = {
      ...{ white: [0.93, 0.95, 0.97], gray: [0.66, 0.69, 0.73] },
      ...{ blue: [0.62, 0.74, 0.9], yellow: [0.92, 0.82, 0.56] },
    };
    for (const task of tasksOf("haze", 6)) {
      const { input, output } = pairOf(task, size);
      const { image, depth } = renderScene(drawScene(pairRandom(0)), size);
      expect(image).toEqual(input);
      const air = airs[task.parameters.color as keyof typeof airs];
      for (const [x, y] of pixels(output)) {
        const clear = Math.exp(-Number(task.parameters.density) * depth[y * size + x]!);
        const expected = pixel(input, x, y).map((value, c) => clear * value + (1 - clear) * air[c]!);
        expect(largestDifference(pixel(output, x, y), expected)).toBeLessThan(1e-6);
      }
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
