/**
 * @file GenEval's six kinds of prompts (https://arxiv.org/abs/2310.11513), in the vocabulary of our world: the prompt, a
 * scene that shows it, and the criteria for a correct picture.
 *
 * As the world's captions do, these prompts always name colours. Only some kinds judge them.
 */
import { drawScene, type Random, type Scene } from "../../tasks/index.ts";
import {
  nounPhrase,
  numbers,
  plural,
  relation,
  studioSetting as setting,
  withArticle,
} from "../../tasks/world/caption.ts";
import { colorNames, type SceneObject, type Size, shapes } from "../../tasks/world/scene.ts";
import type { Detection } from "../judges/detect.ts";

export const kinds = ["single_object", "two_object", "counting", "colors", "position", "color_attr"] as const;
export type Kind = (typeof kinds)[number];

type Thing = Pick<SceneObject, "shape" | "color">;
type Place = "to the left of" | "to the right of" | "in front of" | "behind";
const places: readonly Place[] = ["to the left of", "to the right of", "in front of", "behind"];

export interface Prompt {
  readonly kind: Kind;
  readonly text: string;
  readonly things: readonly [Thing, ...Thing[]];
  /** Position of the first thing relative to the second. */
  readonly place?: Place;
}

export function drawPrompt(kind: Kind, random: Random): Prompt {
  const [shape, otherShape] = random.pair(shapes);
  const [color, otherColor] = random.pair(colorNames);
  const [thing, other]: [Thing, Thing] = [
    { shape, color },
    { shape: otherShape, color: otherColor },
  ];
  const named = (each: Thing) => withArticle(nounPhrase(each as SceneObject));
  if (kind === "single_object" || kind === "colors")
    return { kind, things: [thing], text: `${named(thing)} ${setting}` };
  if (kind === "counting") {
    const count = random.integer(2, 4);
    const text = `${numbers[count]} ${plural(nounPhrase(thing as SceneObject))} ${setting}`;
    return { kind, things: Array(count).fill(thing) as [Thing, ...Thing[]], text };
  }
  if (kind === "position") {
    const place = random.pick(places);
    return {
      kind,
      things: [thing, other],
      place,
      text: `${named(thing)} ${place} ${named(other)} ${setting}`,
    };
  }
  return { kind, things: [thing, other], text: `${named(thing)} and ${named(other)} ${setting}` };
}

/** The largest size of objects that fit, by their number. */
const roomFor: readonly Size[] = ["large", "large", "large", "medium", "small"];

/** Samples a scene that shows exactly the prompt. */
export function sceneOf({ things, place }: Prompt, random: Random): Scene {
  for (;;) {
    const size = roomFor[things.length]!;
    const wanted = things.map((thing) => ({ ...thing, size, material: "matte" as const }));
    const scene = drawScene(random, { places: ["studio"], wanted, count: things.length });
    const [a, b] = scene.objects as [SceneObject, SceneObject];
    if (place === undefined || relation(a, b) === place) return scene;
  }
}

/** Minimum distance of centres for "left" and "right", and of lowest pixels for "in front of" and "behind". */
const BESIDE = 0.05;
const BEFORE = 0.02;

/** Whether a picture with these detections is correct for the prompt. */
export function isRight({ kind, things, place }: Prompt, found: readonly Detection[]): boolean {
  const [first, second] = things;
  const ofShape = ({ shape }: Thing) => found.filter((each) => each.shape === shape);
  const like = ({ shape, color }: Thing) =>
    found.some((each) => each.shape === shape && each.color === color);
  switch (kind) {
    case "single_object":
    case "two_object":
      return things.every((thing) => ofShape(thing).length > 0);
    case "counting":
      return ofShape(first).length === things.length;
    case "colors":
    case "color_attr":
      return things.every(like);
    case "position":
      return ofShape(first).some((a) => ofShape(second!).some((b) => isPlaced(a, b, place!)));
  }
}

function isPlaced(a: Detection, b: Detection, place: Place): boolean {
  switch (place) {
    case "to the left of":
      return b.x - a.x > BESIDE;
    case "to the right of":
      return a.x - b.x > BESIDE;
    case "in front of":
      return a.bottom - b.bottom > BEFORE;
    case "behind":
      return b.bottom - a.bottom > BEFORE;
  }
}
