/**
 * @file Judges an edit of a scene by the world's ground truth: the scenes before and after are known, so other outcomes
 * can be rendered, too. An edit succeeds when the changed region is nearer to the true outcome than to all others, and
 * the rest is preserved as well as the image tokenizer allows.
 */
import type { Image } from "../../image/index.ts";
import { renderScene, type Scene, type SceneEdit, type SceneObject } from "../../tasks/index.ts";
import { colorNames, shapes } from "../../tasks/world/scene.ts";

export interface EditVerdict {
  readonly success: boolean;
  /** Whether the changed region looks like the true outcome rather than any other. */
  readonly done: boolean;
  /** Whether everything else is preserved. */
  readonly kept: boolean;
}

/** A pixel belongs to the changed region when one of its channels changes by more than this (objects, cores of shadows). */
const CHANGED = 0.06;
/** Outcomes with a smaller RMSE in the changed region are the same, such as a distant pyramid and a distant cone. */
const ALIKE = 0.035;
/** Maximum distance to the truth, as a share of the distance between the truth and the unedited picture. */
const SHARE = 0.6;
/** Tolerance for the rest: `KEPT` plus `KEPT_TIMES` times the RMSE of the image tokenizer. */
const KEPT = 0.06;
const KEPT_TIMES = 1.5;

/** Judges pictures of one edit. Renders the other outcomes once. */
export class EditJudge {
  private readonly before: Image;
  private readonly truth: Image;
  private readonly others: readonly Image[];
  private readonly changed: Uint8Array;
  private readonly tolerance: number;

  /**
   * @param size side of the judged pictures in pixels
   * @param reconstructed the true outcome, encoded and decoded by the image tokenizer. Defaults to the true outcome
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
 * Alternative outcomes of the edit: the edited objects in every other shape and in every other colour. Empty if `after`
 * has no edited object.
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

/** Mask with 1 where the pictures differ. */
function changedPixels(a: Image, b: Image): Uint8Array {
  return Uint8Array.from({ length: a.width * a.height }, (_, i) =>
    [0, 1, 2].some((c) => Math.abs(a.data[i * 3 + c]! - b.data[i * 3 + c]!) > CHANGED) ? 1 : 0,
  );
}

/** Root mean square difference over the pixels whose mask is `value`; 0 if there are none. */
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
