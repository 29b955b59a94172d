/**
 * @file What there is to learn: task families over a procedural world. Text-to-image, which has no input picture, is
 * made of `drawScene`, `renderScene` and `caption`.
 */
import { UsageError } from "../errors.ts";
import { closest } from "../spelling.ts";
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
import type { World } from "./worlds/index.ts";

export { Random } from "../random.ts";
export * from "./datasets/index.ts";
export type { Pair, Prototype, SceneEdit, Task, TaskFamily } from "./task.ts";
export { prototypes } from "./task.ts";
export { caption } from "./world/caption.ts";
export { drawScene, type SceneOptions } from "./world/draw.ts";
export { type Render, renderScene } from "./world/render.ts";
export type { Scene, SceneObject } from "./world/scene.ts";
export {
  openWorlds,
  type World,
  type WorldName,
  type WorldSettings,
  type Worlds,
  worldNames,
} from "./worlds/index.ts";

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

/** The family of that name. Throws a UsageError that names the closest one where there is none. */
export function familyNamed(name: string): TaskFamily {
  const found = families.find((family) => family.name === name);
  if (found) return found;
  const meant = closest(
    name,
    families.map((family) => family.name),
  );
  throw new UsageError(
    `choosing a task family: expected a known name, got "${name}" (did you mean "${meant}"?)`,
  );
}

/**
 * The families to train or test on, in the order of `among`.
 * @param options.include only these; all when left out
 * @param options.exclude not these
 */
export function selectFamilies(
  options: { readonly include?: readonly string[]; readonly exclude?: readonly string[] } = {},
  among: readonly TaskFamily[] = families,
): readonly TaskFamily[] {
  const { include, exclude = [] } = options;
  for (const name of [...(include ?? []), ...exclude]) familyNamed(name);
  return among.filter(({ name }) => (include?.includes(name) ?? true) && !exclude.includes(name));
}

/** Every family that changes pictures of a world, those of gathered pictures among them. */
export function familiesOf(world: World | undefined): readonly TaskFamily[] {
  const name = world?.name ?? "scenes";
  return families.filter(({ worlds }) => worlds.includes(name));
}
