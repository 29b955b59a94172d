/** @file Worlds: sources of the pictures that tasks change. */
import type { Image } from "../../image/image.ts";
import type { Random } from "../../random.ts";

/** Procedural scenes, photographs, and icons on backgrounds. */
export const worldNames = ["scenes", "photos", "icons"] as const;
export type WorldName = (typeof worldNames)[number];

export interface CaptionedPicture {
  readonly picture: Image;
  /** Its caption, in lower case ASCII, if it has one. */
  readonly words?: string;
}

/** A source of gathered pictures. Scenes are not a `World`: families render them with the objects they need. */
export interface World {
  readonly name: Exclude<WorldName, "scenes">;
  /** A random picture, `size` × `size` pixels. The same random stream gives the same picture. */
  picture(random: Random, size: number): CaptionedPicture;
}

/** A world of one picture, which may be of a scene as well. */
export const only = (picture: Image): World => ({ name: "photos", picture: () => ({ picture }) });
