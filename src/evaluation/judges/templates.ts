/**
 * @file What every object can look like in a picture of some size, wherever it stands: its outline as offsets of
 * pixels, and how bright each of them is under light from several sides. Shifted over a picture, they find its objects.
 */
import {
  colors,
  type Scene,
  type SceneObject,
  type Shape,
  type Size,
  shapes,
  sizeNames,
  sizes,
} from "../../tasks/world/scene.ts";
import { solids } from "../../tasks/world/solids.ts";
import { Tracer } from "../../tasks/world/tracer.ts";
import { studio } from "./studio.ts";

export interface Template {
  readonly shape: Shape;
  readonly size: Size;
  /** Offsets of its pixels from the one it is placed at, its lowest in the middle. */
  readonly dx: Int16Array;
  readonly dy: Int16Array;
  /**
   * For each light (the first is that of most scenes) and pixel, linear: how much of the object's colour is sent, in
   * red, green and blue, and what gloss adds to it. `[4]` a pixel.
   */
  readonly shading: readonly Float32Array[];
  /** Ends of the offsets, both included. */
  readonly left: number;
  readonly right: number;
  readonly top: number;
}

const distances = [4.8, 5.1, 5.4, 5.8, 6.2, 6.6, 7.1, 7.6, 8.2, 8.8];
/** Turns that look different: shapes on a square are the same after a quarter. */
const turns: Readonly<Record<Shape, readonly number[]>> = {
  sphere: [0],
  cylinder: [0],
  cone: [0],
  capsule: [0],
  cube: [0, 0.26, 0.52, 0.79, 1.05, 1.31],
  pyramid: [0, 0.26, 0.52, 0.79, 1.05, 1.31],
};
/** Where the light may come from (src/tasks/world/draw.ts), the middle first. */
const lights = [0, -0.5, 0.5, -1, 1].flatMap((azimuth) =>
  [0.8, 0.97].map((elevation) => ({ azimuth, elevation })),
);

/** Linear, as scenes are lit. */
const [whites, blacks] = [colors.white, colors.black].map((color) => color.map((value) => value * value)) as [
  number[],
  number[],
];

const banks = new Map<number, readonly Template[]>();

/** All templates for pictures of a side, made once. */
export function templatesFor(side: number): readonly Template[] {
  const known = banks.get(side);
  if (known) return known;
  const made = shapes.flatMap((shape) =>
    turns[shape].flatMap((turn) =>
      sizeNames.flatMap((size) => distances.map((z) => makeTemplate({ shape, size, turn, z }, side))),
    ),
  );
  banks.set(side, made);
  return made;
}

function makeTemplate(given: Pick<SceneObject, "shape" | "size" | "turn" | "z">, side: number): Template {
  const object: SceneObject = { ...given, x: 0, color: "white", material: "matte" };
  const traced = (light: Scene["light"], color: "white" | "black") =>
    new Tracer({ ...studio, light, objects: [{ ...object, color }] });
  const tracers = lights.map((light) => ({ white: traced(light, "white"), black: traced(light, "black") }));
  const reach =
    (solids[given.shape].reach * sizes[given.size] * studio.camera.focal * side) /
    (given.z - sizes[given.size]);
  const [from, to] = [Math.max(0, Math.floor(side / 2 - reach)), Math.min(side, Math.ceil(side / 2 + reach))];
  const [xs, ys]: [number[], number[]] = [[], []];
  const shading: number[][] = lights.map(() => []);
  for (let y = 0; y < side; y++)
    for (let x = from; x < to; x++) {
      const place = [(x + 0.5) / side - 0.5, 0.5 - (y + 0.5) / side] as const;
      tracers[0]!.white.sample(...place);
      if (tracers[0]!.white.instance === 0) continue;
      xs.push(x);
      ys.push(y);
      for (const [i, { white, black }] of tracers.entries()) {
        white.sample(...place);
        black.sample(...place);
        // Radiance is colour · sent + gloss: two colours tell both.
        const sent = [0, 1, 2].map((c) => (white.color[c]! - black.color[c]!) / (whites[c]! - blacks[c]!));
        const gloss = [0, 1, 2].reduce((sum, c) => sum + black.color[c]! - blacks[c]! * sent[c]!, 0) / 3;
        shading[i]!.push(...sent, gloss);
      }
    }
  const middle = Math.round((Math.min(...xs) + Math.max(...xs)) / 2);
  const bottom = Math.max(...ys);
  const dx = Int16Array.from(xs, (x) => x - middle);
  const dy = Int16Array.from(ys, (y) => y - bottom);
  return {
    shape: given.shape,
    size: given.size,
    dx,
    dy,
    shading: shading.map((values) => Float32Array.from(values)),
    left: Math.min(...dx),
    right: Math.max(...dx),
    top: Math.min(...dy),
  };
}
