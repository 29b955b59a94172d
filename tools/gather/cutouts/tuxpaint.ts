/** @file Cut-outs with alpha of Tux Paint's stamps: animals, plants, food, tools, vehicles. */
import sharp from "sharp";
import type { CutoutSet, FoundCutout } from "../found.ts";
import { packageFiles } from "../package-files.ts";
import { wordsOf } from "../words.ts";

const folder = "usr/share/tuxpaint/stamps/";

/** Shorter side of the smallest stamp that is taken, in pixels. */
const LEAST_SIDE = 100;

/** Folders of drawings, of symbols and of stamps that are mirror images. */
const leftOutFolders =
  /(^|\/)(cartoon|symbols|clothes|body_parts|easter|hanukkah|newyears|roadsigns|flags)\/|_(mirror|flip)\.png$/;

/** Drawings in folders of photographs, pictures that are hardly visible, and one that is there twice. */
const leftOut = new Set([
  "animals/insects/bee",
  "animals/mammals/hedgehog",
  "food/pizza",
  "medical/tooth",
  "military/fireman240a",
  "naturalforces/lightningbolt",
  "seasonal/christmas/Santa",
  "seasonal/christmas/candy_cane",
  "seasonal/christmas/star",
  "seasonal/christmas/tree",
  "seasonal/halloween/jackolantern_mean",
  "space/planets/0_sun",
  "sports/rugby_goal_posts",
  "town/monuments/inukshuk-outline",
]);

export const tuxpaint: CutoutSet = {
  kind: "cutouts",
  name: "cutouts-tuxpaint",
  title: "Photographic stamps of Tux Paint",
  packages: ["tuxpaint-stamps-default"],
  async *find([download]): AsyncGenerator<FoundCutout> {
    const stamps = new Map<string, Buffer>();
    const descriptions = new Map<string, string>();
    for await (const { path, bytes } of packageFiles(download!, (path) => path.startsWith(folder))) {
      const file = path.slice(folder.length);
      if (leftOutFolders.test(file)) continue;
      const name = file.replace(/\.\w+$/, "");
      if (file.endsWith(".txt")) descriptions.set(name, descriptionIn(bytes.toString("utf8")));
      else if (file.endsWith(".png") && !leftOut.has(name)) stamps.set(name, bytes);
    }
    for (const [name, bytes] of stamps) {
      const { width, height, hasAlpha } = await sharp(bytes).metadata();
      if (!hasAlpha || Math.min(width, height) < LEAST_SIDE) continue;
      yield { name, words: descriptions.get(name) || wordsOf(name), bytes };
    }
  },
};

/** A longer description is a lesson, not a name. */
const MOST_WORDS = 4;

/**
 * What the English first line calls the thing: `An Adelaide Rosella.` → `adelaide rosella`. Empty where the line is a
 * sentence about it.
 */
function descriptionIn(text: string): string {
  const [phrase] = text.split("\n", 1)[0]!.split(/ ?[(.,:;!?—]/, 1);
  const words = phrase!
    .trim()
    .replace(/^(an?|the) /i, "")
    .toLowerCase();
  return words.split(" ").length > MOST_WORDS ? "" : words;
}
