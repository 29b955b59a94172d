/**
 * @file Templates of all objects for pictures of some size: the outline as pixel offsets, and the shading of each pixel
 * under light from several directions. Detection shifts them over a picture.
 */
import { colors, type SceneObject, type Shape, shapes, sizeNames, sizes } from "../../tasks/world/scene.ts";
import { solids } from "../../tasks/world/solids.ts";
import { Tracer } from "../../tasks/world/tracer.ts";
import { studio } from "./studio.ts";

export interface Template {
  readonly shape: Shape;
  /** Offsets of the pixels from the template's origin, the lowest pixel in the middle. */
  readonly dx: Int16Array;
  readonly dy: Int16Array;
  /** Range of the offsets, inclusive. */
  readonly left: number;
  readonly right: number;
  readonly top: number;
  /**
   * Linear shading under one of the `lights`, `[pixels, 4]`: the factor of the object's colour in red, green and blue,
   * and the gloss added to it. Computed on first use.
   */
  shading(light: number): Float32Array;
}

type Stand = Pick<SceneObject, "shape" | "size" | "turn" | "z">;

const distances = [4.8, 5.1, 5.4, 5.8, 6.2, 6.6, 7.1, 7.6, 8.2, 8.8];
/** Rotations that look different. Shapes with a square base repeat after a quarter turn. */
const turns: Readonly<Record<Shape, readonly number[]>> = {
  sphere: [0],
  cylinder: [0],
  cone: [0],
  capsule: [0],
  cube: [0, 0.26, 0.52, 0.79, 1.05, 1.31],
  pyramid: [0, 0.26, 0.52, 0.79, 1.05, 1.31],
};
/** Directions of the light (src/tasks/world/draw.ts), the most frequent first. */
export const lights = [0, -0.5, 0.5, -1, 1].flatMap((azimuth) =>
  [0.8, 0.97].map((elevation) => ({ azimuth, elevation })),
);

/** In linear RGB, as in the renderer. */
const [whites, blacks] = [colors.white, colors.black].map((color) => color.map((value) => value * value)) as [
  number[],
  number[],
];

const banks = new Map<number, readonly Template[]>();

/** All templates for pictures of a side in pixels. Cached. */
export function templatesFor(side: number): readonly Template[] {
  const known = banks.get(side);
  if (known) return known;
  const stands = shapes.flatMap((shape) =>
    turns[shape].flatMap((turn) =>
      sizeNames.flatMap((size) => distances.map((z): Stand => ({ shape, size, turn, z }))),
    ),
  );
  const made = stands.map((stand) => makeTemplate(stand, side));
  banks.set(side, made);
  return made;
}

function makeTemplate(stand: Stand, side: number): Template {
  const pixels = outline(stand, side);
  const [xs, ys] = [pixels.map(([x]) => x), pixels.map(([, y]) => y)];
  const middle = Math.round((Math.min(...xs) + Math.max(...xs)) / 2);
  const bottom = Math.max(...ys);
  const made: Float32Array[] = [];
  return {
    shape: stand.shape,
    dx: Int16Array.from(xs, (x) => x - middle),
    dy: Int16Array.from(ys, (y) => y - bottom),
    left: Math.min(...xs) - middle,
    right: Math.max(...xs) - middle,
    top: Math.min(...ys) - bottom,
    shading(light) {
      made[light] ??= shade(stand, pixels, side, lights[light]!);
      return made[light];
    },
  };
}

type Pixel = readonly [x: number, y: number];

const placeOf = ([x, y]: Pixel, side: number): [u: number, v: number] => [
  (x + 0.5) / side - 0.5,
  0.5 - (y + 0.5) / side,
];

/** Renders the object in the middle of the picture. */
const tracerOf = (stand: Stand, color: "white" | "black", light: (typeof lights)[number]): Tracer =>
  new Tracer({ ...studio, light, objects: [{ ...stand, x: 0, color, material: "matte" }] });

/** The pixels of the object. */
function outline(stand: Stand, side: number): Pixel[] {
  const { height, pitch, focal } = studio.camera;
  const reach = solids[stand.shape].reach * sizes[stand.size];
  const [near, tall] = [stand.z - reach, solids[stand.shape].height * sizes[stand.size]];
  /** Row of a point at height `y` and distance `z`. */
  const row = (y: number, z: number) => {
    const [up, along] = [y - height, z];
    const slope =
      (up * Math.cos(pitch) + along * Math.sin(pitch)) / (along * Math.cos(pitch) - up * Math.sin(pitch));
    return (0.5 - focal * slope) * side;
  };
  const wide = (reach * focal * side) / near;
  const [first, last] = [
    Math.max(0, Math.floor(side / 2 - wide)),
    Math.min(side, Math.ceil(side / 2 + wide)),
  ];
  const top = Math.max(0, Math.floor(Math.min(row(tall, near), row(tall, stand.z + reach))) - 1);
  const bottom = Math.min(side, Math.ceil(row(0, near)) + 1);
  const tracer = tracerOf(stand, "white", lights[0]!);
  const pixels: Pixel[] = [];
  for (let y = top; y < bottom; y++)
    for (let x = first; x < last; x++) {
      tracer.sample(...placeOf([x, y], side));
      if (tracer.instance > 0) pixels.push([x, y]);
    }
  return pixels;
}

/** Radiance is colour · factor + gloss. Rendering in two colours yields both. */
function shade(
  stand: Stand,
  pixels: readonly Pixel[],
  side: number,
  light: (typeof lights)[number],
): Float32Array {
  const [white, black] = [tracerOf(stand, "white", light), tracerOf(stand, "black", light)];
  const shading = new Float32Array(pixels.length * 4);
  for (const [i, pixel] of pixels.entries()) {
    const place = placeOf(pixel, side);
    white.sample(...place);
    black.sample(...place);
    for (let c = 0; c < 3; c++) {
      const sent = (white.color[c]! - black.color[c]!) / (whites[c]! - blacks[c]!);
      shading[i * 4 + c] = sent;
      shading[i * 4 + 3]! += (black.color[c]! - blacks[c]! * sent) / 3;
    }
  }
  return shading;
}
