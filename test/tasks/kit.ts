/** @file Shared helpers of the tasks' tests. */
import type { Image } from "../../src/image/image.ts";
import { Random } from "../../src/random.ts";
import { familyNamed, type Pair, type Scene, type SceneObject, type Task } from "../../src/tasks/index.ts";

/** Tasks of a family with different parameters. */
export const tasksOf = (family: string, count: number): Task[] =>
  Array.from({ length: count }, (_, i) => familyNamed(family).draw(Random.of("task", family, i)));

export const pairRandom = (index: number): Random => Random.of("pair", index);

export const pairOf = (task: Task, size: number, index = 0): Pair => task.pair(pairRandom(index), size);

export const pixel = ({ data, width }: Image, x: number, y: number): [number, number, number] => {
  const at = (y * width + x) * 3;
  return [data[at]!, data[at + 1]!, data[at + 2]!];
};

/** The position of every pixel, row by row. */
export function* pixels({ width, height }: Image): Generator<readonly [number, number]> {
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) yield [x, y];
}

/** The largest difference of corresponding values. */
export const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

export const object = (traits: Partial<SceneObject> = {}): SceneObject => ({
  shape: "sphere",
  color: "red",
  size: "medium",
  material: "matte",
  x: 0,
  z: 6,
  turn: 0,
  ...traits,
});

/** A plain scene with the given objects. */
export const sceneOf = (objects: readonly SceneObject[], more: Partial<Scene> = {}): Scene => ({
  camera: { height: 2.1, pitch: 0.2, focal: 1.3 },
  light: { azimuth: 0.6, elevation: 0.9 },
  place: "studio",
  season: "summer",
  time: "day",
  surroundings: { phase: 1, hue: 0.3, floor: "plain" },
  objects,
  ...more,
});
