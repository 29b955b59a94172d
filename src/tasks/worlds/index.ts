/** @file The worlds from which a run samples its pictures, and their weights. */
import { XPromptError } from "../../errors.ts";
import type { Random } from "../../random.ts";
import { type Gathered, openGathered, type Split } from "../gathered/index.ts";
import { IconWorld } from "./icons.ts";
import { PhotoWorld } from "./photos.ts";
import type { WorldSettings } from "./settings.ts";
import { type World, type WorldName, worldNames } from "./world.ts";

export { type WorldSettings, worldSettings } from "./settings.ts";
export type { CaptionedPicture, World, WorldName } from "./world.ts";
export { worldNames } from "./world.ts";

/** The worlds of a run, opened. */
export interface Worlds {
  /** Undefined if the run has scenes only. */
  readonly gathered?: Gathered;
  /** Samples a world by weight; undefined stands for scenes. */
  draw(random: Random): World | undefined;
}

/** Whether the run needs gathered pictures. */
const wantsPictures = ({ worlds }: WorldSettings): boolean => worlds.photos > 0 || worlds.icons > 0;

/**
 * Opens the gathered pictures for the worlds of positive weight; opens nothing for scenes only.
 * @throws XPromptError when no folder is given, it cannot be read, or has no pictures for one of the worlds
 */
export function openWorlds(settings: WorldSettings, split: Split): Worlds {
  if (!wantsPictures(settings)) return { draw: () => undefined };
  const doing = "opening the worlds of a recipe";
  if (settings.pictures === undefined) {
    throw new XPromptError(
      `${doing}: expected a folder of gathered pictures for photos and icons, got none (set pictures, or use scenes alone)`,
    );
  }
  const gathered = openGathered(settings.pictures, split);
  const { photos, iconSets } = gathered;
  const all = { photos: new PhotoWorld(photos), icons: new IconWorld(iconSets, photos) };
  for (const [name, { length }] of Object.entries({ photos, icons: iconSets }))
    if (settings.worlds[name as WorldName] > 0 && length === 0) {
      const what = split === "train" ? "" : "held-out ";
      throw new XPromptError(
        `${doing}: expected ${what}${name} in ${settings.pictures}, got none (gather them, or set worlds.${name} to 0)`,
      );
    }
  const weights = worldNames.map((name) => settings.worlds[name]);
  return {
    gathered,
    draw(random) {
      const name = random.pick(worldNames, weights);
      return name === "scenes" ? undefined : all[name];
    },
  };
}
