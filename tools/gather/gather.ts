/** @file Gathers one set after the other; what is there already is kept. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { firstLineOf, messageOf, XPromptError } from "../../src/errors.ts";
import { makeFolder } from "../../src/runtime/files.ts";
import type { PackIndex } from "../../src/tasks/gathered/format.ts";
import { type Download, download, removeParts } from "./download.ts";
import type { GatherSet } from "./found.ts";
import { lock } from "./lock.ts";
import { type MadePack, packChecksum, writePack } from "./pack.ts";
import { packCutouts } from "./pack-cutouts.ts";
import { packIcons } from "./pack-icons.ts";
import { packPhotos } from "./pack-photos.ts";
import { writeSheet } from "./sheets.ts";
import { readIndex, readSources, type Source, writeSources } from "./sources.ts";

/** How many pictures a package holds is not known before it is read, so progress is a count. */
const NOTE_EVERY_MS = 10_000;

export interface GatherOptions {
  /** Packs sets that are there again. */
  readonly again?: boolean;
  readonly note: (line: string) => void;
}

/**
 * Gathers `sets` into `folder`. A set that fails is reported, and the others go on.
 * @returns the names of the sets that failed.
 */
export async function gather(
  folder: string,
  sets: readonly GatherSet[],
  { again = false, note }: GatherOptions,
): Promise<string[]> {
  await makeFolder(folder, `gathering into ${folder}`);
  await removeParts(join(folder, "downloads"));
  const failed: string[] = [];
  for (const set of sets) {
    try {
      const downloads = await downloadsOf(set, join(folder, "downloads"), note);
      const known = (await readSources(folder)).find(({ name }) => name === set.name);
      if (!again && known && (await isCurrent(folder, known, downloads))) {
        note(`${set.name}: kept, ${known.pictures} pictures`);
        continue;
      }
      const pack = await make(set, downloads, note).catch((cause: unknown) => {
        if (cause instanceof XPromptError) throw cause;
        throw new XPromptError(
          `packing ${set.name}: expected pictures that can be packed, got: ${firstLineOf(cause)} (the package has changed: correct tools/gather)`,
          { cause },
        );
      });
      if (pack.index.items.length === 0) {
        throw new XPromptError(
          `packing ${set.name}: expected pictures in the package, got none (it has changed: correct tools/gather)`,
        );
      }
      await writePack(folder, set.name, pack);
      await record(folder, sourceOf(set, downloads, pack.index));
      await writeSheet(join(folder, "sheets"), set.name, pack);
      note(`${set.name}: ${pack.index.items.length} pictures`);
    } catch (error) {
      if (!(error instanceof XPromptError)) throw error;
      failed.push(set.name);
      note(`${set.name}: missing. ${messageOf(error)}`);
    }
  }
  return failed;
}

async function downloadsOf(
  { packages }: GatherSet,
  folder: string,
  note: (line: string) => void,
): Promise<Download[]> {
  const downloads: Download[] = [];
  for (const name of packages) {
    const found = await download(name, lock[name]!, folder);
    if (found.note) note(found.note);
    downloads.push(found);
  }
  return downloads;
}

/** Whether the pack was made from these very packages, and is as it was written. */
async function isCurrent(folder: string, known: Source, downloads: readonly Download[]): Promise<boolean> {
  const files = ["json", "bin"].map((extension) => join(folder, `${known.name}.${extension}`));
  if (!files.every((file) => existsSync(file))) return false;
  const same = (index: number) => known.packages[index]?.sha256 === downloads[index]!.sha256;
  if (!downloads.every((_, i) => same(i))) return false;
  const index = await readIndex(folder, known.name).catch(() => undefined);
  return index?.sha256 === known.sha256 && (await packChecksum(folder, known.name)) === known.sha256;
}

async function make(
  set: GatherSet,
  downloads: readonly Download[],
  note: (line: string) => void,
): Promise<MadePack> {
  let noted = performance.now();
  const tick = (count: number) => {
    if (performance.now() - noted < NOTE_EVERY_MS) return;
    noted = performance.now();
    note(`${set.name}: ${count} pictures so far`);
  };
  if (set.kind === "photos") return packPhotos(set, downloads, tick);
  if (set.kind === "icons") return packIcons(set, downloads, tick);
  return packCutouts(set, downloads, tick);
}

function sourceOf(
  { name, title, kind }: GatherSet,
  downloads: readonly Download[],
  index: PackIndex,
): Source {
  return {
    name,
    title,
    kind,
    packages: downloads.map(({ package: packageName, version, sha256 }) => {
      const { registry, licence, author, url } = lock[packageName]!;
      return { name: packageName, registry, version, sha256, licence, author, url };
    }),
    pictures: index.items.length,
    heldOut: index.items.filter(({ split }) => split === "heldOut").length,
    sha256: index.sha256,
  };
}

/** Puts a set into the lists of sources, in place of what they said of it before. */
async function record(folder: string, source: Source): Promise<void> {
  const others = (await readSources(folder)).filter(({ name }) => name !== source.name);
  const present = [];
  for (const other of others)
    if (await readIndex(folder, other.name).catch(() => undefined)) present.push(other);
  const sets = [...present, source].sort((a, b) => (a.name < b.name ? -1 : 1));
  await writeSources(folder, sets);
}
