/**
 * @file Scenes: plain data, so that a picture can be edited by editing this object and rendering it again.
 *
 * World units: the ground is the plane y = 0, x points right, z away from the camera, which stands above the origin.
 */

/** sRGB in [0, 1]. */
export type Rgb = readonly [number, number, number];

/** The colours of objects: the ten of GenEval. */
export const colors = {
  red: [0.84, 0.13, 0.13],
  orange: [0.95, 0.5, 0.09],
  yellow: [0.96, 0.84, 0.18],
  green: [0.16, 0.6, 0.23],
  blue: [0.14, 0.34, 0.85],
  purple: [0.5, 0.2, 0.7],
  pink: [0.97, 0.56, 0.72],
  brown: [0.46, 0.27, 0.14],
  black: [0.11, 0.11, 0.12],
  white: [0.93, 0.93, 0.92],
} as const satisfies Record<string, Rgb>;

/** Half the width of an object, in world units; about 8, 11 and 15 pixels of a picture 64 wide. */
export const sizes = { small: 0.58, medium: 0.82, large: 1.1 } as const;

export const shapes = ["sphere", "cube", "cylinder", "cone", "capsule", "pyramid"] as const;
export const materials = ["matte", "shiny", "striped", "checkered", "spotted"] as const;
export const places = ["meadow", "desert", "beach", "room", "studio"] as const;
export const seasons = ["spring", "summer", "autumn", "winter"] as const;
export const times = ["day", "sunset", "night"] as const;
export const floors = ["plain", "planks", "tiles"] as const;

export type Color = keyof typeof colors;
export type Size = keyof typeof sizes;
export type Shape = (typeof shapes)[number];
type Material = (typeof materials)[number];
export type Place = (typeof places)[number];
export type Season = (typeof seasons)[number];
export type Time = (typeof times)[number];
type Floor = (typeof floors)[number];

export const colorNames = Object.keys(colors) as Color[];
export const sizeNames = Object.keys(sizes) as Size[];

/** The properties of an object, without its position. */
export interface Traits {
  readonly shape: Shape;
  readonly color: Color;
  readonly size: Size;
  readonly material: Material;
}

/** An object on the ground at (x, 0, z), turned about the vertical by `turn` radians. */
export interface SceneObject extends Traits {
  readonly x: number;
  readonly z: number;
  readonly turn: number;
}

export interface Scene {
  /** Height above the ground, pitch downwards in radians, focal length in picture heights. */
  readonly camera: { readonly height: number; readonly pitch: number; readonly focal: number };
  /** Direction of the key light in radians: azimuth 0 is behind the camera, positive is right. */
  readonly light: { readonly azimuth: number; readonly elevation: number };
  readonly place: Place;
  /** Seasons show on the meadow, times of day everywhere outdoors. */
  readonly season: Season;
  readonly time: Time;
  /** The look of the background: phase of hills and ripples, hue of painted walls (turns), the room's floor. */
  readonly surroundings: { readonly phase: number; readonly hue: number; readonly floor: Floor };
  readonly objects: readonly SceneObject[];
}

/** Semantic classes by id; an object's class is its shape's. */
export const classNames = ["sky", "ground", "backdrop", ...shapes] as const;
type ClassName = (typeof classNames)[number];

export const classOf = (name: ClassName): number => classNames.indexOf(name);

/** Whether sky, seasons and times of day are visible. */
export const isOutdoors = (place: Place): boolean => place !== "room" && place !== "studio";

/** The scene with `change` applied to every object that `matches`. */
export function editObjects(
  scene: Scene,
  matches: (object: SceneObject) => boolean,
  change: (object: SceneObject) => SceneObject,
): Scene {
  return { ...scene, objects: scene.objects.map((object) => (matches(object) ? change(object) : object)) };
}

/** The scene without the objects that `matches` selects. */
export function removeObjects(scene: Scene, matches: (object: SceneObject) => boolean): Scene {
  return { ...scene, objects: scene.objects.filter((object) => !matches(object)) };
}

/** The scene with one more object. */
export function addObject(scene: Scene, object: SceneObject): Scene {
  return { ...scene, objects: [...scene.objects, object] };
}
