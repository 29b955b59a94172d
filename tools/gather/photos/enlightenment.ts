/** @file Photos of Enlightenment's backgrounds: JPEG streams of up to 13 sizes inside `.edj` themes. */
import { findJpegs } from "../formats/jpeg-streams.ts";
import type { PhotoSet } from "../found.ts";
import { packageFiles } from "../package-files.ts";

/** The backgrounds that are photographs, in words. */
const photos: Readonly<Record<string, string>> = {
  Bamboo: "bamboo stems",
  "Foggy-Trees": "dark trees in fog",
  "God-Rays": "rays of sunlight through clouds",
  "Green-Maple": "green maple leaves",
  "Lichen-Branches": "branches with lichen at night",
  Mountain: "dark mountain",
  Peaks: "dark mountain peaks",
  "Red-Maple": "red maple leaves",
  "Sea-of-Lanterns": "many colourful paper lanterns",
  "Snow-Trees": "small trees in snow",
  "Spruce-Needles": "spruce twigs against the sky",
  "Sunset-Clouds": "dark clouds at sunset",
  "White-Flower": "white flower",
  "Yellow-Flower": "yellow flower",
};

const folder = "usr/share/enlightenment/data/backgrounds/";

export const enlightenment: PhotoSet = {
  kind: "photos",
  name: "photos-enlightenment",
  title: "Photos among Enlightenment's backgrounds",
  packages: ["enlightenment-data"],
  split: "train",
  async *find([download]) {
    const nameOf = (path: string) => path.slice(folder.length, -".edj".length);
    for await (const theme of packageFiles(
      download!,
      (path) => path.startsWith(folder) && nameOf(path) in photos,
    )) {
      const streams = findJpegs(theme.bytes);
      const [largest] = streams.sort((a, b) => b.width * b.height - a.width * a.height);
      if (!largest) continue;
      const name = nameOf(theme.path);
      yield { name: `enlightenment/${name}`, words: photos[name]!, bytes: largest.bytes };
    }
  },
};
