/**
 * @file Edits of objects: a scene is changed and rendered again, so that nothing else changes. A task fixes the rule.
 * Scenes are sampled so that the rule applies. Other objects share some of the target's properties, so that the example
 * shows which property matters.
 */
import type { Random } from "../../random.ts";
import { bothWays, type Change, family, type ReversibleChange, type TaskFamily } from "../task.ts";
import { nounPhrase, plural, withArticle } from "../world/caption.ts";
import { drawObject, type SceneOptions } from "../world/draw.ts";
import {
  addObject,
  colorNames,
  editObjects,
  materials,
  removeObjects,
  type SceneObject,
  shapes,
} from "../world/scene.ts";
import { edited } from "./source.ts";

/** Directions in which an object can stand, as x / z. */
const spots = { left: -0.17, middle: 0, right: 0.17 } as const;
type Spot = keyof typeof spots;
const spotPhrase = (spot: Spot): string => (spot === "middle" ? "in the middle" : `on the ${spot}`);

/** A spot, and a distance from the camera. */
function drawPlace(random: Random): { readonly spot: Spot; readonly x: number; readonly z: number } {
  const spot = random.pick(Object.keys(spots) as Spot[]);
  const z = random.uniform(6.3, 7.5);
  return { spot, x: spots[spot] * z, z };
}

/** Whether an object differs visibly from `object` in shape or colour. */
const differsFrom =
  (object: SceneObject): NonNullable<SceneOptions["allowed"]> =>
  ({ shape, color }) =>
    shape !== object.shape || color !== object.color;

function drawAddition(random: Random): ReversibleChange {
  const { spot, x, z } = drawPlace(random);
  const object = drawObject(random, { x, z });
  const phrase = nounPhrase(object, "size");
  const where = spotPhrase(spot);
  return {
    parameters: { ...object, spot },
    images: edited(
      (pairRandom) => ({
        count: pairRandom.integer(1, 2),
        allowed: differsFrom(object),
      }),
      (scene) => addObject(scene, object),
    ),
    words: {
      instructions: [`add ${withArticle(phrase)} ${where}`, `put ${withArticle(phrase)} ${where}`],
      differences: [`the output image has ${withArticle(phrase)} ${where} in addition`],
    },
    reverseWords: {
      instructions: [`remove the ${phrase} ${where}`, `remove the ${nounPhrase(object)}`],
      differences: [`the ${phrase} ${where} of the input image is gone`],
    },
  };
}

/** A property that distinguishes objects, with words for those that have it. */
interface Kind {
  readonly given: Partial<SceneObject>;
  readonly matches: (object: SceneObject) => boolean;
  readonly phrase: string;
  /** Properties of an object that resembles `model` in everything but this property. */
  readonly contrast: (random: Random, model: SceneObject) => Partial<SceneObject>;
}

function drawColorKind(random: Random): Kind {
  const color = random.pick(colorNames);
  const others = colorNames.filter((name) => name !== color);
  return {
    given: { color },
    matches: (object) => object.color === color,
    phrase: `${color} objects`,
    contrast: (random, { shape }) => ({ shape, color: random.pick(others) }),
  };
}

function drawShapeKind(random: Random): Kind {
  const shape = random.pick(shapes);
  const others = shapes.filter((name) => name !== shape);
  return {
    given: { shape },
    matches: (object) => object.shape === shape,
    phrase: plural(shape),
    contrast: (random, { color }) => ({ color, shape: random.pick(others) }),
  };
}

/** One or two objects of the kind, and one other object that shares their remaining properties. */
const amongOthers =
  (kind: Kind, more: Partial<SceneObject> = {}) =>
  (random: Random): SceneOptions => {
    const target = { ...kind.given, ...more };
    const model = drawObject(random, target);
    const first = { ...target, shape: model.shape, color: model.color };
    const other = { ...more, ...kind.contrast(random, model) };
    return { wanted: random.chance(0.3) ? [first, other, target] : [first, other] };
  };

const drawRemoval =
  (drawKind: (random: Random) => Kind) =>
  (random: Random): Change => {
    const kind = drawKind(random);
    return {
      parameters: { remove: kind.phrase },
      images: edited(amongOthers(kind), (scene) => removeObjects(scene, kind.matches)),
      words: {
        instructions: [`remove the ${kind.phrase}`, `take away all ${kind.phrase}`],
        differences: [`the ${kind.phrase} of the input image are gone`],
      },
    };
  };

/** Sets properties of all objects of a kind; none of them has these yet. */
function drawModification(
  kind: Kind,
  change: Partial<SceneObject>,
  become: string,
  start: Partial<SceneObject> = {},
): Change {
  const changed = (object: SceneObject): SceneObject => ({ ...object, ...change });
  const names = Object.keys(change) as (keyof SceneObject)[];
  const isDone = (object: SceneObject) => names.every((name) => object[name] === change[name]);
  return {
    parameters: { objects: kind.phrase, become },
    images: edited(amongOthers(kind, start), (scene) =>
      scene.objects.some((object) => kind.matches(object) && isDone(object))
        ? undefined
        : editObjects(scene, kind.matches, changed),
    ),
    words: {
      instructions: [`make the ${kind.phrase} ${become}`, `turn the ${kind.phrase} ${become}`],
      differences: [`the ${kind.phrase} of the input image are ${become} in the output image`],
    },
  };
}

function drawReplacement(random: Random): Change {
  const kind = drawShapeKind(random);
  const shape = random.pick(shapes.filter((name) => name !== kind.given.shape));
  return {
    ...drawModification(kind, { shape }, plural(shape)),
    words: {
      instructions: [
        `replace the ${kind.phrase} with ${plural(shape)}`,
        `turn the ${kind.phrase} into ${plural(shape)}`,
      ],
      differences: [`the output image has ${plural(shape)} in place of the ${kind.phrase}`],
    },
  };
}

function drawRecolor(random: Random): Change {
  const kind = drawColorKind(random);
  const color = random.pick(colorNames.filter((name) => name !== kind.given.color));
  return drawModification(kind, { color }, color);
}

function drawShapeRecolor(random: Random): Change {
  const color = random.pick(colorNames);
  return drawModification(drawShapeKind(random), { color }, color);
}

function drawResize(random: Random): Change {
  const kind = random.pick([drawShapeKind, drawColorKind])(random);
  const [from, to] = random.pair(["small", "large"] as const);
  return drawModification(kind, { size: to }, to, { size: from });
}

function drawRetexture(random: Random): Change {
  const kind = random.pick([drawShapeKind, drawColorKind])(random);
  const [from, to] = random.pair(materials);
  return drawModification(kind, { material: to }, to, { material: from });
}

function drawMove(random: Random): Change {
  const kind = drawColorKind(random);
  const direction = random.pick(["to the left", "to the right", "closer", "farther away"] as const);
  const distance = random.uniform(1.2, 1.8);
  const steps = {
    "to the left": [-distance, 0],
    "to the right": [distance, 0],
    closer: [0, -distance],
    "farther away": [0, distance],
  } as const;
  const [dx, dz] = steps[direction];
  return {
    parameters: { objects: kind.phrase, direction, distance },
    images: edited(
      (pairRandom) => ({
        wanted: [kind.given],
        allowed: ({ color }) => color !== kind.given.color,
        count: pairRandom.integer(1, 2),
      }),
      (scene) =>
        editObjects(scene, kind.matches, (object) => ({ ...object, x: object.x + dx, z: object.z + dz })),
    ),
    words: {
      instructions: [`move the ${kind.given.color} object ${direction}`],
      differences: [`the ${kind.given.color} object has moved ${direction} in the output image`],
    },
  };
}

/** Any object at a spot is replaced by one fixed object. */
function drawObjectReplacement(random: Random): Change {
  const object = drawObject(random);
  const phrase = withArticle(nounPhrase(object, "size"));
  return {
    parameters: { ...object },
    images: edited(
      () => ({
        count: 1,
        allowed: differsFrom(object),
      }),
      (scene) =>
        editObjects(
          scene,
          () => true,
          ({ x, z }) => ({ ...object, x, z }),
        ),
    ),
    words: {
      instructions: [`replace the object with ${phrase}`, `put ${phrase} in its place`],
      differences: [`the output image has ${phrase} in place of the object`],
    },
  };
}

/** A second object like the first, always at the same spot. */
function drawDuplication(random: Random): Change {
  const { spot, x, z } = drawPlace(random);
  const where = spotPhrase(spot);
  return {
    parameters: { spot, z },
    images: edited(
      () => ({ count: 1 }),
      (scene) => addObject(scene, { ...scene.objects[0]!, x, z }),
    ),
    words: {
      instructions: [`put another one like it ${where}`, `repeat the object ${where}`],
      differences: [`the output image has a second object like the first ${where}`],
    },
  };
}

/** Two objects swap places. */
function drawSwap(): Change {
  return {
    parameters: {},
    images: edited(
      () => ({ count: 2 }),
      (scene) => {
        const [a, b] = scene.objects as [SceneObject, SceneObject];
        if (a.shape === b.shape && a.color === b.color) return undefined; // nothing would be seen
        return {
          ...scene,
          objects: [
            { ...a, x: b.x, z: b.z },
            { ...b, x: a.x, z: a.z },
          ],
        };
      },
    ),
    words: {
      instructions: ["swap the two objects", "let the two objects trade places"],
      differences: ["the two objects have traded places in the output image"],
    },
  };
}

export const objectFamilies: readonly TaskFamily[] = [
  ...bothWays(["addObject", "editing"], ["removeObject", "editing"], drawAddition),
  family("removeColor", "editing", drawRemoval(drawColorKind)),
  family("removeShape", "editing", drawRemoval(drawShapeKind)),
  family("replaceShape", "editing", drawReplacement),
  family("replaceObject", "editing", drawObjectReplacement),
  family("duplicate", "editing", drawDuplication),
  family("recolor", "editing", drawRecolor),
  family("recolorShape", "editing", drawShapeRecolor),
  family("resize", "editing", drawResize),
  family("retexture", "editing", drawRetexture),
  family("move", "editing", drawMove),
  family("swapObjects", "editing", drawSwap),
];
