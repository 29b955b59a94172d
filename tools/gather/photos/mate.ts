/** @file Photos of the MATE desktop's backgrounds: the folder `nature`. */
import { readCopyright } from "../formats/debian-copyright.ts";
import type { PhotoSet } from "../found.ts";
import { packageFile, packageFiles } from "../package-files.ts";

const photos: Readonly<Record<string, string>> = {
  Aqua: "drop falling into water",
  Blinds: "green leaf close up",
  Dune: "grass on a dune",
  FreshFlower: "orange flower close up",
  Garden: "red and yellow flower",
  GreenMeadow: "green grass",
  LadyBird: "ladybird on a twig",
  RainDrops: "raindrops on a leaf",
  Storm: "storm clouds over a road",
  TwoWings: "two winged seeds",
  Wood: "wooden board",
  YellowFlower: "yellow flower close up",
};

const folder = "usr/share/backgrounds/mate/nature/";

export const mate: PhotoSet = {
  kind: "photos",
  name: "photos-mate",
  title: "Nature photos of the MATE desktop",
  packages: ["mate-backgrounds"],
  split: "train",
  async *find([download]) {
    const copyright = await packageFile(download!, "usr/share/doc/mate-backgrounds/copyright");
    const creditOf = readCopyright(copyright.toString("utf8"));
    for await (const { path, bytes } of packageFiles(download!, (path) => path.startsWith(folder))) {
      const name = path.slice(folder.length).replace(/\.jpg$/, "");
      const words = photos[name];
      if (words) yield { name: `mate/${name}`, words, bytes, credit: creditOf(`nature/${name}.jpg`) };
    }
  },
};
