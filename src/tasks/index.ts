/**
 * @file What there is to learn: task families over a procedural world. Text-to-image, which has no input picture, is
 * made of `drawScene`, `renderScene` and `caption`.
 */
import { UsageError } from "../errors.ts";
import { circumstanceFamilies } from "./families/circumstances.ts";
import { geometryFamilies } from "./families/geometry.ts";
import { lookFamilies } from "./families/looks.ts";
import { lowLevelFamilies } from "./families/low-level.ts";
import { objectFamilies } from "./families/objects.ts";
import { perceptionFamilies } from "./families/perception.ts";
import { stickerFamilies } from "./families/stickers.ts";
import { styleFamilies } from "./families/style.ts";
import { toneFamilies } from "./families/tone.ts";
import { weatherFamilies } from "./families/weather.ts";
import type { TaskFamily } from "./task.ts";

export { Random } from "../random.ts";
export * from "./datasets/index.ts";
export type { Pair, Prototype, SceneEdit, Task, TaskFamily } from "./task.ts";
export { prototypes } from "./task.ts";
export { caption } from "./world/caption.ts";
export { drawScene, type SceneOptions } from "./world/draw.ts";
export { type Render, renderScene } from "./world/render.ts";
export type { Scene, SceneObject } from "./world/scene.ts";

/** Every family, each direction on its own. */
export const families: readonly TaskFamily[] = [
  ...weatherFamilies,
  ...lowLevelFamilies,
  ...toneFamilies,
  ...lookFamilies,
  ...geometryFamilies,
  ...perceptionFamilies,
  ...objectFamilies,
  ...stickerFamilies,
  ...circumstanceFamilies,
  ...styleFamilies,
];

/** The tasks the paper holds out, and the families that would show them in training. */
export const heldOutTasks = {
  derain: ["derain"],
  lowLightEnhancement: ["lowLightEnhancement"],
  addObject: ["addObject"],
  removeObject: ["removeObject", "removeColor", "removeShape"],
  depthUnseenPalette: ["depthUnseenPalette"],
} as const satisfies Record<string, readonly string[]>;

/** Letters to insert, delete or replace to turn one word into the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/** The family of that name. Throws a UsageError that names the closest one where there is none. */
export function familyNamed(name: string): TaskFamily {
  const found = families.find((family) => family.name === name);
  if (found) return found;
  const distance = (family: TaskFamily) => editDistance(name.toLowerCase(), family.name.toLowerCase());
  const closest = families.reduce((best, family) => (distance(family) < distance(best) ? family : best));
  throw new UsageError(
    `choosing a task family: expected a known name, got "${name}" (did you mean "${closest.name}"?)`,
  );
}

/**
 * The families to train or test on, in the order of `families`.
 * @param options.include only these; all when left out
 * @param options.exclude not these
 */
export function selectFamilies(
  options: { readonly include?: readonly string[]; readonly exclude?: readonly string[] } = {},
): readonly TaskFamily[] {
  const include = options.include?.map(familyNamed);
  const exclude = options.exclude?.map(familyNamed) ?? [];
  return families.filter((family) => (include?.includes(family) ?? true) && !exclude.includes(family));
}
