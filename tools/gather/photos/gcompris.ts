/**
 * @file Photos of GCompris, educational games for children: animals, monuments, tools and more in Qt archives.
 *
 * The folders below hold photographs; what else is in them (drawings, paintings, scans) is listed as left out.
 */

import { readCopyright } from "../formats/debian-copyright.ts";
import { readRcc } from "../formats/rcc.ts";
import type { Credit, FoundPhoto, PhotoSet } from "../found.ts";
import type { PackageFile } from "../package-files.ts";
import { packageFile, packageFiles } from "../package-files.ts";
import { wordsOf } from "../words.ts";

/** By archive: a pattern of the files under `src/activities/`, its groups being what names the picture in words. */
const folders: Readonly<Record<string, RegExp>> = {
  categorization: /\/images\/(?:fishes|monuments|others|renewable|tools)\/(.+)\.webp$/,
  explore_farm_animals: /\/animals\/(.+)\.webp$/,
  explore_world_animals: /\/animals\/(.+)\.webp$/,
  explore_monuments: /\/resource\/(?:egypt|france|germany|india|usa|wonders)\/(.+)\.webp$/,
  explore_world_music: /\/music\/(.+)\.webp$/,
  details: /\/image\/(.+)_background\.webp$/,
  erase: /\/resource\/(.+)\.webp$/,
  clickgame: /\/resource\/(sea\d)\.webp$/,
  "louis-braille": /\/resource\/(braille_ball|teach|workshop|statue|rnib|braille|fireplace)\.webp$/,
};

/** No photographs: drawings, and paintings by Van Gogh. */
const leftOut =
  /\/(erasers|pencil|volleyball|blackslate|PortraitOfPereTanguy_.*|Eglise_dAuvers.*|.*Gogh.*)\.webp$/;

/** What a file's name says too shortly or not at all. */
const captions: Readonly<Record<string, string>> = {
  NDP: "notre-dame of paris",
  Louvre_2007_02_24_c: "the louvre at night",
  EgeskovSlotSpejling: "egeskov castle and its reflection",
  OperaSidney: "the opera house of sydney at night",
  Nagoya: "nagoya castle",
  Chenonceau: "chenonceau castle",
  Neuschwanstein: "neuschwanstein castle",
  buffetset: "cup and saucer",
  knife: "knife, fork and spoon",
  dragon: "komodo dragon",
  sea: "under the sea",
  dam: "dam",
  solar: "solar panels",
  geothermal: "steam from the ground",
  leMusee: "the louvre",
  braille_ball: "white plastic ball with knobs",
  teach: "hands reading braille",
  workshop: "tools on a workbench",
  statue: "stone monument in a park",
  rnib: "old brick building",
  braille: "hand reading braille",
  fireplace: "boy in front of a fireplace",
  italy: "singers on a stage",
  america: "guitar and drums",
  australia: "man playing the didgeridoo",
  japan: "orchestra in a concert hall",
  orchestra: "orchestra on a stage",
  africa: "african drums",
  ireland: "band on a stage",
  mexico: "people playing violins",
  middleeast: "lute",
};

const archives = "usr/share/gcompris-qt/rcc/";

export const gcompris: PhotoSet = {
  kind: "photos",
  name: "photos-gcompris",
  title: "Photos of GCompris: animals, monuments, tools",
  packages: ["gcompris-qt-data"],
  split: "train",
  async *find([download]) {
    const copyright = await packageFile(download!, "usr/share/doc/gcompris-qt-data/copyright");
    const creditOf = readCopyright(copyright.toString("utf8"));
    const wanted = (path: string) => path.startsWith(archives) && activityOf(path) in folders;
    for await (const archive of packageFiles(download!, wanted)) yield* photosIn(archive, creditOf);
  },
};

const activityOf = (path: string) => path.slice(archives.length, -".rcc".length);

function* photosIn(archive: PackageFile, creditOf: (path: string) => Credit): Iterable<FoundPhoto> {
  const activity = activityOf(archive.path);
  for (const file of readRcc(archive.bytes, archive.path)) {
    const [, stem] = folders[activity]!.exec(file.path) ?? [];
    if (stem === undefined || leftOut.test(file.path)) continue;
    const inside = file.path.split("/resource/")[1]!.replace(/\.webp$/, "");
    yield {
      name: `${activity}/${inside}`,
      words: captions[stem] ?? captions[stem.replace(/\d+$/, "")] ?? wordsOf(stem),
      bytes: file.read(),
      credit: creditOf(file.path.replace(/^gcompris\//, "")),
    };
  }
}
