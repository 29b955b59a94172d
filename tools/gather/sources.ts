/** @file What was gathered and from where: `sources.json` for programs, `SOURCES.md` for people. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson, writeFileAtomic, writeJson } from "../../src/runtime/files.ts";
import {
  isCrop,
  type PackIndex,
  packFormat,
  packIndex,
  sourcesFile,
} from "../../src/tasks/gathered/format.ts";

const source = z.strictObject({
  name: z.string(),
  title: z.string(),
  kind: z.string(),
  packages: z.array(
    z.strictObject({
      name: z.string(),
      registry: z.string(),
      version: z.string(),
      sha256: z.string(),
      licence: z.string(),
      author: z.string(),
      url: z.string(),
    }),
  ),
  pictures: z.int(),
  heldOut: z.int(),
  /** Of the pack's `.bin` file. */
  sha256: z.string(),
});

const sources = z.strictObject({ format: z.literal(packFormat), sets: z.array(source) });

export type Source = z.infer<typeof source>;

/** The sets that the folder says it has; none where it says nothing. */
export async function readSources(folder: string): Promise<Source[]> {
  const path = join(folder, sourcesFile);
  return existsSync(path) ? (await readJson(path, sources, "list of gathered pictures")).sets : [];
}

/** Writes both files. The pictures' own credits are read from the packs. */
export async function writeSources(folder: string, sets: readonly Source[]): Promise<void> {
  const list: z.infer<typeof sources> = { format: packFormat, sets: [...sets] };
  await writeJson(join(folder, sourcesFile), list);
  const texts = await Promise.all(sets.map(async (set) => describe(set, await readIndex(folder, set.name))));
  await writeFileAtomic(join(folder, "SOURCES.md"), `${heading}\n\n${texts.join("\n\n")}\n`);
}

/** The index of a set. @throws XPromptError when it is missing or damaged */
export const readIndex = (folder: string, name: string): Promise<PackIndex> =>
  readJson(join(folder, `${name}.json`), packIndex, "index of gathered pictures");

const heading = `# Gathered pictures

Gathered by \`npm run gather\` from packages of public registries. Licences, authors and addresses are as the packages
state them. This folder is for training and measuring; read a licence before you pass pictures on.`;

function describe(set: Source, index: PackIndex): string {
  const packages = set.packages.map(
    ({ name, registry, version, licence, author, url }) =>
      `- package \`${name}\` ${version} (${registry}), ${licence}, by ${author}, ${url}`,
  );
  const lines = [
    `## ${set.title}`,
    "",
    `- pack \`${set.name}\`: ${set.pictures} pictures, ${set.heldOut} of them held out`,
    ...packages,
    `- SHA-256 of \`${set.name}.bin\`: \`${set.sha256}\``,
  ];
  return [...lines, ...creditTable(index)].join("\n");
}

/** One row per photo with a credit of its own. */
function creditTable(index: PackIndex): string[] {
  if (index.kind !== "photos") return [];
  const rows = index.items
    .filter(({ name, author, licence }) => !isCrop(name) && (author || licence))
    .map(
      ({ name, author = "", licence = "", url = "" }) =>
        `| ${[name, author, licence, url].map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`,
    );
  return rows.length === 0
    ? []
    : ["", "| picture | author | licence | address |", "|---|---|---|---|", ...rows];
}
