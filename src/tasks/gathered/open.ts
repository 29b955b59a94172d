/** @file Opens a folder of gathered pictures. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { type CutoutsIndex, type IconsIndex, type PhotosIndex, type Split, sourcesFile } from "./format.ts";
import { inflate, type Pack, readPack } from "./pack.ts";
import type { Bytes, Cutout, Gathered, Icon, IconSet, Photo } from "./pictures.ts";

/**
 * Opens a folder written by `npm run gather`. A set that was not gathered gives an empty list. Synchronous; files are
 * read into memory once per process.
 * @throws XPromptError if the folder is missing, holds no packs, or a pack is damaged.
 */
export function openGathered(folder: string, split: Split): Gathered {
  const root = resolve(folder);
  const packs = packNames(root).map((name) => readPack(root, name));
  const photos: Photo[] = [];
  const iconSets: IconSet[] = [];
  const cutouts: Cutout[] = [];
  for (const pack of packs) {
    const { index } = pack;
    if (index.kind === "photos") photos.push(...photosOf(pack, index, split));
    else if (index.kind === "cutouts") cutouts.push(...cutoutsOf(pack, index, split));
    else iconSets.push(iconSetOf(pack, index, split));
  }
  const digest = sha256(JSON.stringify(packs.map(({ name, digest }) => [name, digest])));
  return { photos, iconSets: iconSets.filter(({ icons }) => icons.size > 0), cutouts, digest };
}

function packNames(folder: string): string[] {
  const doing = `opening gathered pictures ${folder}`;
  const advice = "gather them with `npm run gather -- --out DIR`, or use the folder that it wrote";
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch {
    const got = existsSync(folder) ? "a file, or one that may not be read" : "nothing there";
    throw new XPromptError(`${doing}: expected a folder, got ${got} (${advice})`);
  }
  const names = files.filter((file) => file.endsWith(".json") && file !== sourcesFile).sort();
  if (names.length === 0) {
    throw new XPromptError(`${doing}: expected packs of pictures, got a folder without any (${advice})`);
  }
  return names.map((file) => file.slice(0, -".json".length));
}

function photosOf(pack: Pack, { items }: PhotosIndex, split: Split): Photo[] {
  return items
    .filter((item) => item.split === split)
    .map(({ name, words, width, height, offset }) => {
      const data = pack.bytes.subarray(offset, offset + width * height * 3);
      return { name, words, image: { width, height, channels: 3, data } };
    });
}

function iconSetOf(pack: Pack, { style, family, size, items }: IconsIndex, split: Split): IconSet {
  const icons = new Map<string, Icon>();
  for (const { name, words, split: itsSplit, layers } of items) {
    if (itsSplit !== split) continue;
    const label = `${pack.name}: ${name}`;
    const decode = () =>
      layers.map(({ color, ...place }) => ({
        image: rgba(size, size, inflate(pack, label, place, size * size * 4)),
        ...(color && { color }),
      }));
    icons.set(name, { name, words, layers: decode });
  }
  return { name: pack.name, style, family, size, icons };
}

function cutoutsOf(pack: Pack, { items }: CutoutsIndex, split: Split): Cutout[] {
  return items
    .filter((item) => item.split === split)
    .map(({ name, words, width, height, ...place }) => ({
      ...{ name, words },
      get image() {
        return rgba(width, height, inflate(pack, `${pack.name}: ${name}`, place, width * height * 4));
      },
    }));
}

const rgba = (width: number, height: number, data: Uint8Array): Bytes => ({
  width,
  height,
  channels: 4,
  data,
});
