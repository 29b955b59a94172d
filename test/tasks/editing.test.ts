import { describe, expect, test } from "vitest";
import type { Image } from "../../src/image/image.ts";
import { colors, type SceneObject } from "../../src/tasks/world/scene.ts";
import { pairOf, pixel, pixels, tasksOf } from "./kit.ts";

const size = 64;

/** The pixels that differ by more than `least` in some channel. */
function changed(a: Image, b: Image, least = 0.12): (readonly [number, number])[] {
  return [...pixels(a)].filter(([x, y]) =>
    pixel(a, x, y).some((value, c) => Math.abs(value - pixel(b, x, y)[c]!) > least),
  );
}

describe("addObject", () => {
  test("puts the object where its parameters say, and leaves the rest alone", () => {
    for (const task of tasksOf("addObject", 8))
      for (const scene of [0, 1]) {
        const { x, z } = task.parameters as unknown as SceneObject;
        const { input, output } = pairOf(task, size, scene);
        const places = changed(input, output);
        expect(places.length).toBeGreaterThan(15);
        expect(places.length).toBeLessThan(size * size * 0.45);
        // From the camera, x / z is its position; shadows may fall to a side.
        const middle = places.reduce((sum, [column]) => sum + column, 0) / places.length / size;
        expect(Math.abs(middle - (0.5 + (1.3 * x) / z))).toBeLessThan(0.14);
      }
  });
});

test("duplicate puts a second object like the first at one spot", () => {
  for (const task of tasksOf("duplicate", 6)) {
    const spot = { left: -0.17, middle: 0, right: 0.17 }[String(task.parameters.spot)]!;
    for (const scene of [0, 1]) {
      const { input, output, scenes } = pairOf(task, size, scene);
      const [first, second, ...others] = scenes!.after.objects;
      expect(others).toEqual([]);
      expect(scenes!.before.objects).toEqual([first]);
      expect({ ...second, x: 0, z: 0 }).toEqual({ ...first, x: 0, z: 0 });
      const places = changed(input, output);
      expect(places.length).toBeGreaterThan(10);
      const middle = places.reduce((sum, [column]) => sum + column, 0) / places.length / size;
      expect(Math.abs(middle - (0.5 + 1.3 * spot))).toBeLessThan(0.14);
    }
  }
});

test("replaceObject replaces any object at a place by the same one", () => {
  for (const task of tasksOf("replaceObject", 6)) {
    const pairs = [0, 1, 2].map((scene) => pairOf(task, size, scene).scenes!);
    for (const { before, after } of pairs) {
      const [{ x, z }] = before.objects as [SceneObject];
      expect(after.objects).toEqual([{ ...task.parameters, x, z }]);
      expect(before.objects).not.toEqual(after.objects);
    }
    expect(new Set(pairs.map(({ before }) => before.objects[0]!.x)).size).toBe(3);
  }
});

/** Mean colour of the given pixels of a picture. */
function meanColor(image: Image, places: readonly (readonly [number, number])[]): number[] {
  const colors = places.map(([x, y]) => pixel(image, x, y));
  return [0, 1, 2].map((c) => colors.reduce((sum, color) => sum + color[c]!, 0) / places.length);
}

describe.each(["recolor", "recolorShape"])("%s", (family) => {
  test("brings the objects closer to the new colour, nothing else", () => {
    const vivid = ["red", "green", "blue", "yellow"];
    const tasks = tasksOf(family, 40).filter(({ parameters }) => vivid.includes(String(parameters.become)));
    expect(tasks.length).toBeGreaterThan(5);
    for (const task of tasks.slice(0, 8)) {
      const { input, output } = pairOf(task, size);
      const places = changed(input, output, 0.08);
      const target = colors[task.parameters.become as keyof typeof colors];
      const chroma = (color: readonly number[]) =>
        color.map((value) => value - (color[0]! + color[1]! + color[2]!) / 3);
      const likeness = (color: readonly number[]) =>
        chroma(color).reduce((sum, value, c) => sum + value * chroma(target)[c]!, 0);
      expect(likeness(meanColor(output, places))).toBeGreaterThan(likeness(meanColor(input, places)));
      expect(places.length).toBeLessThan(size * size * 0.5);
    }
  });
});

test.each([
  "removeColor",
  "removeShape",
  "removeObject",
  "replaceShape",
  "replaceObject",
  "duplicate",
  "retexture",
  "resize",
])("%s changes a part of the picture and keeps a part exactly", (family) => {
  for (const task of tasksOf(family, 5)) {
    const { input, output } = pairOf(task, size);
    const kept = size * size - changed(input, output, 1e-6).length;
    expect(kept).toBeGreaterThan(size * size * 0.3);
    expect(changed(input, output, 0.05).length).toBeGreaterThan(5);
  }
});

/** Whether an object is of the kind that words name: "red objects", "cubes". */
const isOf = (words: unknown) => {
  const [first] = String(words).split(" ");
  return ({ color, shape }: SceneObject) => color === first || `${shape}s` === first;
};

/** The scenes of two pairs of some tasks, with the parameters of the task. */
const scenesOf = (family: string, count = 6) =>
  tasksOf(family, count).flatMap(({ parameters, ...task }) =>
    [0, 1].map((scene) => {
      const { before, after } = pairOf({ parameters, ...task }, size, scene).scenes!;
      return { parameters, before, after };
    }),
  );

test.each(["removeColor", "removeShape"])("%s removes all objects of the kind, and no other", (family) => {
  for (const { parameters, before, after } of scenesOf(family)) {
    const isGone = isOf(parameters.remove);
    expect(before.objects.some(isGone)).toBe(true);
    expect(after.objects.length).toBeGreaterThan(0);
    expect(after).toEqual({ ...before, objects: before.objects.filter((object) => !isGone(object)) });
  }
});

test.each([
  ["replaceShape", (become: string) => ({ shape: become.replace(/s$/, "") })],
  ["recolor", (become: string) => ({ color: become })],
  ["resize", (become: string) => ({ size: become })],
  ["retexture", (become: string) => ({ material: become })],
] as const)("%s changes one property of the objects of the kind, and nothing else", (family, changeTo) => {
  for (const { parameters, before, after } of scenesOf(family)) {
    const matches = isOf(parameters.objects);
    const change = changeTo(String(parameters.become));
    const objects = before.objects.map((object) => (matches(object) ? { ...object, ...change } : object));
    expect(after).toEqual({ ...before, objects });
    expect(after).not.toEqual(before);
  }
});

test("swapObjects swaps the places of two objects, which stay as they are", () => {
  for (const { before, after } of scenesOf("swapObjects")) {
    const [a, b] = before.objects as [SceneObject, SceneObject];
    const [first, second] = after.objects as [SceneObject, SceneObject];
    expect([first.x, first.z, second.x, second.z]).toEqual([b.x, b.z, a.x, a.z]);
    expect({ ...first, x: a.x, z: a.z }).toEqual(a);
    expect({ ...second, x: b.x, z: b.z }).toEqual(b);
  }
});

test("move moves the objects of the kind in the direction that the words say", () => {
  for (const { parameters, before, after } of scenesOf("move", 10)) {
    const matches = isOf(parameters.objects);
    const [x, z] = {
      "to the left": [-1, 0],
      "to the right": [1, 0],
      closer: [0, -1],
      "farther away": [0, 1],
    }[String(parameters.direction)]!;
    for (const [i, object] of before.objects.entries()) {
      const moved = after.objects[i]!;
      const [dx, dz] = [moved.x - object.x, moved.z - object.z];
      expect([Math.sign(Math.round(dx * 100)), Math.sign(Math.round(dz * 100))]).toEqual(
        matches(object) ? [x, z] : [0, 0],
      );
    }
  }
});

test("relight brings the light from the other side, and changes nothing else", () => {
  for (const { parameters, before, after } of scenesOf("relight")) {
    const side = parameters.side === "left" ? -1 : 1;
    expect(Math.sign(after.light.azimuth)).toBe(side);
    expect(Math.sign(before.light.azimuth)).not.toBe(side);
    expect({ ...after, light: before.light }).toEqual(before);
  }
});

test("timeOfDay makes nights darker than days, both directions", () => {
  const mean = ({ data }: Image) => data.reduce((sum, value) => sum + value, 0) / data.length;
  const tasks = tasksOf("timeOfDay", 30);
  for (const [from, to, sign] of [
    ["day", "night", -1],
    ["night", "day", 1],
  ] as const) {
    const task = tasks.find(({ parameters }) => parameters.from === from && parameters.to === to)!;
    const { input, output } = pairOf(task, size);
    expect((mean(output) - mean(input)) * sign).toBeGreaterThan(0.1);
  }
});

test("season turns the meadow white for winter", () => {
  const task = tasksOf("season", 30).find(({ parameters }) => parameters.to === "winter")!;
  const { input, output } = pairOf(task, size);
  const corner = (image: Image) => pixel(image, 1, size - 1);
  expect(Math.min(...corner(output))).toBeGreaterThan(Math.min(...corner(input)) + 0.1);
});
