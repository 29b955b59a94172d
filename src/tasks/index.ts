/**
 * The tasks to learn: task families over a procedural world. Text-to-image, which has no input picture, uses
 * `drawScene`, `renderScene` and `caption`.
 *
 * @module x-prompt/tasks
 */
import { UsageError } from "../errors.ts";
import { meant } from "../spelling.ts";
import { circumstanceFamilies } from "./families/circumstances.ts";
import { colorMapFamilies } from "./families/color-maps.ts";
import { combinedFamilies, isCombined } from "./families/combined.ts";
import { photoFamilies } from "./families/cutouts.ts";
import { geometryFamilies } from "./families/geometry.ts";
import { iconFamilies } from "./families/icons/index.ts";
import { otherLook } from "./families/looks.ts";
import { lowLevelFamilies } from "./families/low-level.ts";
import { objectFamilies } from "./families/objects.ts";
import { perceptionFamilies } from "./families/perception.ts";
import { stickerFamilies } from "./families/stickers.ts";
import { styleFamilies } from "./families/style.ts";
import { toneFamilies } from "./families/tone.ts";
import { weatherFamilies } from "./families/weather.ts";
import type { Gathered } from "./gathered/index.ts";
import type { TaskFamily } from "./task.ts";
import type { WorldName, Worlds } from "./worlds/index.ts";

export { Random } from "../random.ts";
export * from "./datasets/index.ts";
export { isCombined } from "./families/combined.ts";
export type { Gathered } from "./gathered/index.ts";
export type { Pair, Prototype, SceneEdit, Task, TaskFamily } from "./task.ts";
export { prototypes } from "./task.ts";
export { caption } from "./world/caption.ts";
export { drawScene, type SceneOptions } from "./world/draw.ts";
export { type Render, renderScene } from "./world/render.ts";
export type { Scene, SceneObject, Season, Time, Traits } from "./world/scene.ts";
export {
  openWorlds,
  type World,
  type WorldName,
  type WorldSettings,
  type Worlds,
  worldNames,
  worldSettings,
} from "./worlds/index.ts";

const single: readonly TaskFamily[] = [
  ...weatherFamilies,
  ...lowLevelFamilies,
  ...toneFamilies,
  otherLook([...weatherFamilies, ...lowLevelFamilies, ...toneFamilies])!,
  ...geometryFamilies,
  ...perceptionFamilies,
  ...objectFamilies,
  ...stickerFamilies,
  ...circumstanceFamilies,
  ...styleFamilies,
  ...colorMapFamilies,
];

/** Every family that works on scenes; each direction is a family. */
export const families: readonly TaskFamily[] = [...single, ...combinedFamilies(single)];

/** The families of gathered pictures: icons, and things cut out of photographs. */
export const gatheredFamilies = (gathered: Gathered): readonly TaskFamily[] => [
  ...iconFamilies(gathered),
  ...photoFamilies(gathered),
];

const nothing: Gathered = { photos: [], iconSets: [], cutouts: [], digest: "" };
const every: readonly TaskFamily[] = [...families, ...gatheredFamilies(nothing)];

/** What is known of a family without its pictures. */
export type KnownFamily = Pick<TaskFamily, "name" | "prototype" | "worlds">;

/** Name and prototype of every family, including those of gathered pictures. */
export const knownFamilies: readonly KnownFamily[] = every;

/** The held-out tasks, most as in the paper, and the families that would show them in training. */
export const heldOutTasks = {
  derain: ["derain"],
  lowLightEnhancement: ["lowLightEnhancement"],
  addObject: ["addObject", "addCutout"],
  removeObject: ["removeObject", "removeColor", "removeShape", "removeCutout"],
  depthUnseenPalette: ["depthUnseenPalette"],
  unseenStyles: ["iconStyleUnseen"],
} as const satisfies Record<string, readonly string[]>;

/** Names of the held-out families that work on scenes. */
export const heldOutOfScenes: readonly string[] = Object.values(heldOutTasks)
  .flat()
  .filter((name) => families.some((family) => family.name === name));

/** The family of scenes with that name. @throws UsageError naming the closest family if there is none */
export function familyNamed(name: string): TaskFamily {
  checkName(name, families);
  return families.find((family) => family.name === name)!;
}

/** @throws UsageError naming the closest family if none has the name */
export function checkName(name: string, known: readonly Pick<TaskFamily, "name">[] = knownFamilies): void {
  if (known.some((family) => family.name === name)) return;
  const names = known.map((family) => family.name);
  throw new UsageError(`choosing a task family: expected a known name, got "${name}"${meant(name, names)}`);
}

/** Whether the family of that name is made of other families, by `selectFamilies` of those that it selects. */
export const isMadeOfOthers = (name: string): boolean => isCombined(name) || name === "otherLook";

/**
 * The families for training or testing, in the order of `among`. Combined families and `otherLook` use the chosen ones only
 * (all that are not excluded if no other is chosen), and are left out if these are too few.
 * @param options.include only these; defaults to all
 * @param options.exclude not these
 */
export function selectFamilies(
  options: { readonly include?: readonly string[]; readonly exclude?: readonly string[] } = {},
  among: readonly TaskFamily[] = families,
): readonly TaskFamily[] {
  const { include, exclude = [] } = options;
  for (const name of [...(include ?? []), ...exclude]) checkName(name);
  const allowed = among.filter(({ name }) => !exclude.includes(name));
  const chosen = allowed.filter(({ name }) => include?.includes(name) ?? true);
  if (chosen.length === among.length) return among;
  const isSingle = ({ name }: TaskFamily) => !isMadeOfOthers(name);
  const parts = chosen.some(isSingle) ? chosen : allowed;
  const look = otherLook(parts.filter(isSingle));
  const withLook = (all: readonly TaskFamily[]) =>
    all.flatMap((each) => (each.name === "otherLook" ? (look ?? []) : each));
  const combined = combinedFamilies(withLook(parts));
  return withLook(chosen).flatMap((each) =>
    isCombined(each.name) ? combined.filter(({ name }) => name === each.name) : each,
  );
}

/** As `selectFamilies`, among all families, also those of gathered pictures. */
export const selectKnown = (options: Parameters<typeof selectFamilies>[0]): readonly KnownFamily[] =>
  selectFamilies(options, every);

const made = new WeakMap<Gathered, readonly TaskFamily[]>();

/** The families for pictures of a world, including those of gathered pictures. */
export function familiesOf({ gathered }: Worlds, world: WorldName = "scenes"): readonly TaskFamily[] {
  if (!gathered) return families;
  const all = made.get(gathered) ?? [...families, ...gatheredFamilies(gathered)];
  made.set(gathered, all);
  return all.filter(({ worlds, isPossible }) => worlds.includes(world) && (isPossible?.() ?? true));
}
