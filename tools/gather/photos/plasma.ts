/** @file Photos among the wallpapers of KDE Plasma; each has its author and licence in a `metadata.json`. */
import { z } from "zod";
import type { Credit, PhotoSet } from "../found.ts";
import { type PackageFile, packageFiles } from "../package-files.ts";

/** The wallpapers that are photographs, in words. */
const photos: Readonly<Record<string, string>> = {
  BytheWater: "wooden jetty by the water",
  ColdRipple: "jetty in the fog, black and white",
  ColorfulCups: "colourful paper cups from above",
  DarkestHour: "lake in blue dusk",
  EveningGlow: "rowing boats on a shore at sunset",
  FallenLeaf: "fallen autumn leaves",
  Grey: "curved lattice of a modern building",
  Kite: "kite in a blue sky",
  OneStandsOut: "green plants from above",
  Path: "path through a dark forest",
  summer_1am: "lake at dusk",
};

const folder = "usr/share/wallpapers/";

const metadata = z.object({
  KPlugin: z.object({
    Authors: z.array(z.object({ Name: z.string() })).optional(),
    License: z.string().optional(),
  }),
});

export const plasma: PhotoSet = {
  kind: "photos",
  name: "photos-plasma",
  title: "Photos among the wallpapers of KDE Plasma",
  packages: ["plasma-workspace-wallpapers"],
  split: "train",
  async *find([download]) {
    const nameOf = (path: string) => path.slice(folder.length).split("/")[0]!;
    const files: PackageFile[] = [];
    for await (const file of packageFiles(
      download!,
      (path) =>
        path.startsWith(folder) &&
        nameOf(path) in photos &&
        /\/(metadata\.json|images\/\d+x\d+\.jpg)$/.test(path),
    )) {
      files.push(file);
    }
    for (const [name, words] of Object.entries(photos)) {
      const own = files.filter(({ path }) => nameOf(path) === name);
      const picture = own.find(({ path }) => path.endsWith(".jpg"));
      const about = own.find(({ path }) => path.endsWith("metadata.json"));
      if (!picture) continue;
      const credit = about ? creditOf(about.bytes) : {};
      yield { name: `plasma/${name}`, words, bytes: picture.bytes, credit };
    }
  },
};

function creditOf(bytes: Buffer): Credit {
  const { Authors, License } = metadata.parse(JSON.parse(bytes.toString("utf8"))).KPlugin;
  const author = Authors?.map(({ Name }) => Name).join(", ");
  return { ...(author && { author }), ...(License && { licence: License }) };
}
