/**
 * @file Judges an edit of a scene by the world's own ground truth: the scenes before and after are known, so every
 * other outcome can be rendered as well. An edit has succeeded when, where something had to change, the picture is
 * nearest to the true outcome among all those, and the rest is kept as well as the image tokenizer allows.
 */
import type { Image } from "../../image/index.ts";
import { renderScene, type Scene, type SceneEdit, type SceneObject } from "../../tasks/index.ts";
import { colorNames, shapes } from "../../tasks/world/scene.ts";

export interface EditVerdict {
  readonly success: boolean;
  /** Whether what had to change looks like the true outcome, rather than like any other. */
  readonly done: boolean;
  /** Whether everything else is as it was. */
  readonly kept: boolean;
}

/** A pixel has to change when one of its channels does so by more than this: objects, and the core of shadows. */
const CHANGED = 0.06;
/** Outcomes that look so much alike where the scene changes (RMSE) are one: pyramid or cone, far away. */
const ALIKE = 0.035;
/** The distance to the truth, at most this share of the distance from the truth to the unedited picture. */
const SHARE = 0.6;
/** RMSE of what is to be kept: this much, and this many times the image tokenizer's own. */
const KEPT = 0.06;
const KEPT_TIMES = 1.5;

/** Judges pictures of one edit; the other outcomes are rendered once. */
export class EditJudge {
  private readonly before: Image;
  private readonly truth: Image;
  private readonly others: readonly Image[];
  private readonly changed: Uint8Array;
  private readonly tolerance: number;

  /**
   * @param size side of the judged pictures in pixels
   * @param reconstructed the true outcome after a round trip of the image tokenizer. Defaults to the true outcome
   */
  constructor({ before, after }: SceneEdit, size: number, reconstructed?: Image) {
    const picture = (scene: Scene) => renderScene(scene, size).image;
    this.before = picture(before);
    this.truth = picture(after);
    this.changed = changedPixels(this.before, this.truth);
    const variants = otherOutcomes({ before, after }).map(picture);
    this.others = [this.before, ...variants].filter(
      (other) => distance(other, this.truth, this.changed, 1) > ALIKE,
    );
    this.tolerance = KEPT + KEPT_TIMES * distance(reconstructed ?? this.truth, this.truth, this.changed, 0);
  }

  judge(image: Image): EditVerdict {
    const toTruth = distance(image, this.truth, this.changed, 1);
    const isNearest = this.others.every((other) => toTruth < distance(image, other, this.changed, 1));
    const done = isNearest && toTruth < SHARE * distance(this.before, this.truth, this.changed, 1);
    const kept = distance(image, this.truth, this.changed, 0) <= this.tolerance;
    return { success: done && kept, done, kept };
  }
}

/**
 * Outcomes that the edit could have had instead: the objects it touches in every other shape, and in every other
 * colour. What differs between before and after in more than its objects has none.
 */
function otherOutcomes({ before, after }: SceneEdit): Scene[] {
  const known = new Set(before.objects.map(identity));
  const isTouched = (object: SceneObject) => !known.has(identity(object));
  if (!after.objects.some(isTouched)) return [];
  const variant = (change: (object: SceneObject) => Partial<SceneObject>): Scene => ({
    ...after,
    objects: after.objects.map((object) => (isTouched(object) ? { ...object, ...change(object) } : object)),
  });
  const touched = after.objects.filter(isTouched);
  const otherShapes = shapes.filter((shape) => touched.some((object) => object.shape !== shape));
  const otherColors = colorNames.filter((color) => touched.some((object) => object.color !== color));
  return [
    ...otherShapes.map((shape) => variant(() => ({ shape }))),
    ...otherColors.map((color) => variant(() => ({ color }))),
  ];
}

const identity = (object: SceneObject): string => JSON.stringify(object);

/** 1 where the pictures differ. */
function changedPixels(a: Image, b: Image): Uint8Array {
  return Uint8Array.from({ length: a.width * a.height }, (_, i) =>
    [0, 1, 2].some((c) => Math.abs(a.data[i * 3 + c]! - b.data[i * 3 + c]!) > CHANGED) ? 1 : 0,
  );
}

/** Root mean square difference over the pixels whose mask is `value`; 0 where there are none. */
function distance(a: Image, b: Image, mask: Uint8Array, value: 0 | 1): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] !== value) continue;
    for (let c = 0; c < 3; c++) sum += (a.data[i * 3 + c]! - b.data[i * 3 + c]!) ** 2;
    count += 3;
  }
  return count === 0 ? 0 : Math.sqrt(sum / count);
}
