/** @file Photos of Palapeli's jigsaw puzzles, held out: each has author, licence and address in a `.desktop` file. */
import type { Credit, PhotoSet } from "../found.ts";
import { packageFiles } from "../package-files.ts";
import { wordsOf } from "../words.ts";

const folder = "usr/share/palapeli/collection/";

export const palapeli: PhotoSet = {
  kind: "photos",
  name: "photos-palapeli",
  title: "Photos of Palapeli's puzzles",
  packages: ["palapeli-data"],
  split: "heldOut",
  async *find([download]) {
    const pictures = new Map<string, Buffer>();
    const credits = new Map<string, Credit>();
    for await (const { path, bytes } of packageFiles(download!, (path) => path.startsWith(folder))) {
      const name = path.slice(folder.length).replace(/\.\w+$/, "");
      if (path.endsWith(".jpg")) pictures.set(name, bytes);
      else if (path.endsWith(".desktop")) credits.set(name, creditOf(bytes.toString("utf8")));
    }
    for (const [name, bytes] of pictures) {
      yield { name: `palapeli/${name}`, words: wordsOf(name), bytes, credit: credits.get(name) ?? {} };
    }
  },
};

function creditOf(desktop: string): Credit {
  const field = (name: string) => new RegExp(`^X-KDE-PluginInfo-${name}=(.+)$`, "m").exec(desktop)?.[1];
  const [author, licence, url] = [field("Author"), field("License"), field("Website")];
  return { ...(author && { author }), ...(licence && { licence }), ...(url && { url }) };
}
