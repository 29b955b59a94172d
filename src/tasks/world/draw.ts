/** @file Random scenes: objects are apart, in view, and hardly occlude each other. */
import type { Random } from "../../random.ts";
import {
  colorNames,
  floors,
  isOutdoors,
  materials,
  type Place,
  places,
  type Scene,
  type SceneObject,
  type Season,
  seasons,
  shapes,
  sizeNames,
  sizes,
  type Time,
  type Traits,
  times,
} from "./scene.ts";
import { solids } from "./solids.ts";

/** Constraints on a random scene. */
export interface SceneOptions {
  readonly places?: readonly Place[];
  readonly seasons?: readonly Season[];
  readonly times?: readonly Time[];
  /** Number of objects. Defaults to 1 to 4, as many as fit. */
  readonly count?: number;
  /** Required objects, each with at least these properties. */
  readonly wanted?: readonly Partial<SceneObject>[];
  /** Which other objects are allowed. */
  readonly allowed?: (object: Traits) => boolean;
}

const nearZ = 4.7;
const farZ = 9;
/** Half the picture's width divided by distance; objects beyond are out of view. */
const viewSlope = (scene: Scene) => 0.5 / scene.camera.focal;

/** Half the width of an object, in world units. */
const halfWidth = (object: SceneObject): number => sizes[object.size] * solids[object.shape].radius;

/** Whether every object is in view, apart from the others, and hardly occluded. */
export function isWellPlaced(scene: Scene): boolean {
  const { objects } = scene;
  return objects.every((a, i) => {
    const wide = halfWidth(a);
    if (a.z < nearZ || a.z > farZ || Math.abs(a.x) + wide > a.z * viewSlope(scene)) return false;
    return objects.slice(i + 1).every((b) => {
      if (Math.hypot(a.x - b.x, a.z - b.z) < (wide + halfWidth(b)) * 1.06) return false;
      const [halfA, halfB] = [wide / a.z, halfWidth(b) / b.z];
      const gap = Math.abs(a.x / a.z - b.x / b.z) - halfA - halfB;
      return gap > -0.6 * Math.min(halfA, halfB);
    });
  });
}

/** A random object with the given properties. */
export function drawObject(random: Random, given: Partial<SceneObject> = {}): SceneObject {
  const z = random.uniform(nearZ, farZ);
  return {
    shape: random.pick(shapes),
    color: random.pick(colorNames),
    size: random.pick(sizeNames),
    material: random.pick(materials, [4, 3, 1.3, 1, 1]),
    x: random.uniform(-0.36, 0.36) * z,
    z,
    turn: random.uniform(0, 2 * Math.PI),
    ...given,
  };
}

function drawEmptyScene(random: Random, options: SceneOptions): Scene {
  const place = random.pick(options.places ?? places);
  const season = random.pick(options.seasons ?? seasons);
  const time = random.pick(options.times ?? times, options.times ? undefined : [4, 1, 1]);
  return {
    camera: { height: random.uniform(1.9, 2.4), pitch: random.uniform(0.17, 0.24), focal: 1.3 },
    light: { azimuth: random.uniform(-1.2, 1.2), elevation: random.uniform(0.7, 1.05) },
    place,
    season,
    time: isOutdoors(place) ? time : "day",
    surroundings: {
      phase: random.uniform(0, 2 * Math.PI),
      hue: random.uniform(),
      floor: random.pick(floors),
    },
    objects: [],
  };
}

const attempts = 100;

/** A random scene that meets `options`. The same random stream gives the same scene. */
export function drawScene(random: Random, options: SceneOptions = {}): Scene {
  const scene = tryScene(random, options);
  if (scene) return scene;
  throw new Error(
    `drawing a scene: expected room for the wanted objects, found none in ${attempts} attempts`,
  );
}

function tryScene(random: Random, options: SceneOptions): Scene | undefined {
  const { wanted = [], allowed = () => true } = options;
  const least = Math.max(options.count ?? 1, wanted.length);
  const count = Math.max(options.count ?? random.pick([1, 2, 3, 4], [2, 4, 4, 1]), least);
  for (let attempt = 0; attempt < attempts; attempt++) {
    let scene = drawEmptyScene(random, options);
    for (let tries = 0; scene.objects.length < count && tries < 60; tries++) {
      const given = wanted[scene.objects.length];
      const object = drawObject(random, given);
      const grown = { ...scene, objects: [...scene.objects, object] };
      if ((given || allowed(object)) && isWellPlaced(grown)) scene = grown;
    }
    if (scene.objects.length >= least) return scene;
  }
  return undefined;
}

/**
 * A random scene and its edited version, resampled until both are well placed.
 * @param edit returns the edited scene, or undefined if the edit does not apply
 */
export function drawEdit(
  random: Random,
  options: (random: Random) => SceneOptions,
  edit: (scene: Scene) => Scene | undefined,
): { before: Scene; after: Scene } {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const before = tryScene(random, options(random));
    const after = before && edit(before);
    if (after && isWellPlaced(after)) return { before, after };
  }
  throw new Error(`drawing an edit: expected a scene that allows it, found none in ${attempts} attempts`);
}
