import { describe, expect, test } from "vitest";
import { Random } from "../../src/random.ts";
import { drawScene, renderScene, type SceneObject, type Task } from "../../src/tasks/index.ts";
import { type DepthPalette, drawDepthPalette, paletteColor, reservedHues } from "../../src/tasks/palette.ts";
import { classOf, colors, type Rgb, type Shape } from "../../src/tasks/world/scene.ts";
import { largestDifference, pairOf, pairRandom, pixel, pixels, tasksOf } from "./kit.ts";

const size = 48;

/** The scene of a task without constraints; the input picture proves that it is the right one. */
function renderBehind(task: Task, index: number) {
  const pair = pairOf(task, size, index);
  const render = renderScene(drawScene(pairRandom(index)), size);
  expect(render.image).toEqual(pair.input);
  return { render, ...pair };
}

const paletteOf = ({ parameters }: Task) => parameters as unknown as DepthPalette;

/** The position in [0, 1] with the colour nearest to the given one. */
function palettePosition(palette: DepthPalette, [r, g, b]: Rgb): number {
  const steps = 128;
  let best = 0;
  let smallest = Infinity;
  for (let i = 0; i <= steps; i++) {
    const [pr, pg, pb] = paletteColor(palette, i / steps);
    const error = (r - pr) ** 2 + (g - pg) ** 2 + (b - pb) ** 2;
    if (error >= smallest) continue;
    smallest = error;
    best = i / steps;
  }
  return best;
}

/** Hue in turns, or undefined for colours without one. */
function hueOf([r, g, b]: readonly [number, number, number]): number | undefined {
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (most - least < 0.02) return undefined;
  const sixth =
    most === r
      ? (g - b) / (most - least)
      : most === g
        ? 2 + (b - r) / (most - least)
        : 4 + (r - g) / (most - least);
  return (sixth / 6 + 1) % 1;
}

/** 0 for the nearest possible surface, 3 units away, up to 1 for the sky, 40 units away. */
const depthPosition = (depth: number) => Math.min(Math.max((1 - 3 / depth) / (1 - 3 / 40), 0), 1);

describe.each(["depth", "depthUnseenPalette"])("%s", (family) => {
  test("paints 1 / depth along the task's palette, the same in every pair", () => {
    for (const task of tasksOf(family, 4))
      for (const scene of [0, 1]) {
        const { render, output } = renderBehind(task, scene);
        for (const [x, y] of pixels(output)) {
          const position = depthPosition(render.depth[y * size + x]!);
          const expected = paletteColor(paletteOf(task), position);
          expect(largestDifference(pixel(output, x, y), expected)).toBeLessThan(0.012);
          expect(Math.abs(palettePosition(paletteOf(task), pixel(output, x, y)) - position)).toBeLessThan(
            0.02,
          );
        }
      }
  });

  test("keeps near apart from far: brightness changes one way along the palette", () => {
    for (const task of tasksOf(family, 20)) {
      const values = Array.from({ length: 11 }, (_, i) => Math.max(...paletteColor(paletteOf(task), i / 10)));
      const direction = Math.sign(values[10]! - values[0]!);
      for (let i = 1; i < values.length; i++)
        expect((values[i]! - values[i - 1]!) * direction).toBeGreaterThan(0);
    }
  });
});

describe("reserved palettes", () => {
  const isReserved = (hue: number) => hue > reservedHues.low - 1e-3 && hue < reservedHues.high + 1e-3;

  test("never appear in depth, and depthUnseenPalette has no others", () => {
    const huesOf = (family: string) =>
      tasksOf(family, 12).flatMap((task) => {
        const { output } = pairOf(task, 32);
        return [...pixels(output)]
          .map(([x, y]) => hueOf(pixel(output, x, y)))
          .filter((hue) => hue !== undefined);
      });
    const open = huesOf("depth");
    expect(open.length).toBeGreaterThan(5000);
    expect(open.filter((hue) => hue > reservedHues.low + 1e-3 && hue < reservedHues.high - 1e-3)).toEqual([]);
    const unseen = huesOf("depthUnseenPalette");
    expect(unseen.length).toBeGreaterThan(5000);
    expect(unseen.filter((hue) => !isReserved(hue))).toEqual([]);
  });

  test("cover their ranges: palettes differ", () => {
    const hues = Array.from(
      { length: 200 },
      (_, i) => drawDepthPalette(Random.of("open", i), "open").nearHue % 1,
    );
    for (const region of [0.05, 0.3, 0.5, 0.65])
      expect(hues.some((hue) => Math.abs(hue - region) < 0.05)).toBe(true);
  });
});

test("normals code each axis in the channel and direction that the task names", () => {
  for (const task of tasksOf("normals", 6)) {
    const { render, output } = renderBehind(task, 0);
    const axes = String(task.parameters.code).split(",");
    for (const [x, y] of pixels(output)) {
      const i = (y * size + x) * 3;
      const expected = axes.map((axis) => {
        const value = render.normals[i + "xyz".indexOf(axis.at(-1)!)]!;
        return 0.5 + (axis.startsWith("-") ? -0.5 : 0.5) * value;
      });
      expect(largestDifference(pixel(output, x, y), expected)).toBeLessThan(1e-6);
    }
  }
});

test("edges have two colours, and lines where objects end", () => {
  for (const task of tasksOf("edges", 4)) {
    const { render, output } = renderBehind(task, 1);
    const named = (name: "ink" | "paper") => colors[task.parameters[name] as keyof typeof colors];
    const [ink, paper] = [named("ink"), named("paper")];
    const found = new Set([...pixels(output)].map(([x, y]) => pixel(output, x, y).join()));
    expect(found.size).toBe(2);
    for (const [x, y] of pixels(output)) {
      const isInk = largestDifference(pixel(output, x, y), ink) < 1e-6;
      if (!isInk) expect(largestDifference(pixel(output, x, y), paper)).toBeLessThan(1e-6);
      const i = y * size + x;
      if (x + 1 < size && render.segmentation[i] !== render.segmentation[i + 1]) expect(isInk).toBe(true);
    }
  }
});

test("segmentation gives each class one colour in all pairs of a task", () => {
  for (const task of tasksOf("segmentation", 4)) {
    const names = Object.keys(task.parameters);
    expect(names).toHaveLength(4);
    const palettes = [0, 1, 2].map((scene) => {
      const { output } = pairOf(task, size, scene);
      return new Set([...pixels(output)].map(([x, y]) => pixel(output, x, y).join()));
    });
    // Every pair shows all classes: background (or room wall), ground, both shapes.
    for (const palette of palettes) expect(palette).toEqual(palettes[0]);
    expect(palettes[0]!.size).toBe(4);
    // The top row is background and the bottom row ground in every scene.
    const ends = [0, 1, 2].map((scene) => {
      const { output } = pairOf(task, size, scene);
      return [pixel(output, 0, 0), pixel(output, 0, size - 1)];
    });
    for (const end of ends) expect(end).toEqual(ends[0]);
  }
});

test("mask paints exactly the pixels of the named shape", () => {
  for (const task of tasksOf("mask", 4)) {
    const shape = task.parameters.shape as Shape;
    const { input, output } = pairOf(task, size, 3);
    const allowed = (other: { shape: Shape }) => other.shape !== shape;
    const scene = drawScene(pairRandom(3), { wanted: [{ shape }], count: 3, allowed });
    expect(scene.objects.filter((each) => each.shape === shape)).toHaveLength(1);
    const render = renderScene(scene, size);
    expect(render.image).toEqual(input);
    const ink = colors[task.parameters.ink as keyof typeof colors];
    for (const [x, y] of pixels(output)) {
      const isMasked = largestDifference(pixel(output, x, y), ink) < 1e-6;
      expect(isMasked).toBe(render.classes[y * size + x] === classOf(shape));
    }
  }
});

test("instances take the palette from left to right", () => {
  const hex = (color: readonly number[]) =>
    `#${color
      .map((value) =>
        Math.round(value * 255)
          .toString(16)
          .padStart(2, "0"),
      )
      .join("")}`;
  for (const task of tasksOf("instances", 4)) {
    const order = String(task.parameters.order).split(" ");
    const { output } = pairOf(task, size, 2);
    const middles = order.map((color) => {
      const columns = [...pixels(output)]
        .filter(([x, y]) => hex(pixel(output, x, y)) === color)
        .map(([x]) => x);
      expect(columns.length).toBeGreaterThan(5);
      return columns.reduce((sum, x) => sum + x, 0) / columns.length;
    });
    expect(middles).toEqual(middles.toSorted((a, b) => a - b));
  }
});

test("cutOut keeps the objects, and makes the rest plain", () => {
  for (const task of tasksOf("cutOut", 4)) {
    const { render, input, output } = renderBehind(task, 1);
    const paper = colors[task.parameters.paper as keyof typeof colors];
    for (const [x, y] of pixels(output)) {
      const expected = render.segmentation[y * size + x]! > 0 ? pixel(input, x, y) : paper;
      expect(largestDifference(pixel(output, x, y), expected)).toBeLessThan(1e-6);
    }
  }
});

test("detect draws a line of two pixels around the object of the named color", () => {
  for (const task of tasksOf("detect", 4)) {
    const { target, line } = task.parameters as Record<"target" | "line", keyof typeof colors>;
    const { input, output } = pairOf(task, size, 2);
    const options = {
      wanted: [{ color: target }],
      allowed: ({ color }: Pick<SceneObject, "color">) => color !== target,
      count: 2,
    };
    const scene = drawScene(pairRandom(2), options);
    const render = renderScene(scene, size);
    expect(render.image).toEqual(input);
    const id = 1 + scene.objects.findIndex(({ color }) => color === target);
    const places = [...pixels(input)].filter(([x, y]) => render.segmentation[y * size + x] === id);
    const [columns, rows] = [places.map(([x]) => x), places.map(([, y]) => y)];
    for (const [x, y] of pixels(output)) {
      const away = Math.max(
        ...[Math.min(...columns) - x, x - Math.max(...columns)],
        ...[Math.min(...rows) - y, y - Math.max(...rows)],
      );
      const expected = away === 1 || away === 2 ? colors[line] : pixel(input, x, y);
      expect(largestDifference(pixel(output, x, y), expected)).toBeLessThan(1e-6);
    }
  }
});
