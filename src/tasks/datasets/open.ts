/** @file Opening a data set: detecting its format and listing its records. */
import { basename, resolve } from "node:path";
import { UsageError, XPromptError } from "../../errors.ts";
import { explainIssues } from "../../settings.ts";
import { type ColumnNames, findColumns, type SetWords } from "./columns.ts";
import { type FileList, listFiles, ofSplit } from "./files.ts";
import { folderBlock, folderColumns, pairFiles, plainLayouts } from "./folder.ts";
import { isMetadata, metadataBlocks } from "./imagefolder.ts";
import { isParquet, parquetBlocks, parquetColumns } from "./parquet.ts";
import { type FolderSet, type ParquetSet, type PublicSet, publicSetTable } from "./public-sets.ts";
import type { Block, Skipped } from "./record.ts";
import {
  type Columns,
  type PairsConfig,
  type PairsSettings,
  type PublicSetName,
  pairsSettings,
  publicSets,
} from "./settings.ts";
import { type OpenedSet, PairSource } from "./source.ts";
import { isTar, tarBlocks } from "./webdataset.ts";

/**
 * Opens a data set. Reads the keys of all records once; pictures are read on demand.
 * @param onSkip called once for every broken record, when it is found
 * @throws UsageError for an unknown setting or one out of range
 * @throws XPromptError for a path without pairs, and for a set without one usable record
 */
export async function openPairs(
  settings: PairsSettings,
  onSkip?: (skipped: Skipped) => void,
): Promise<PairSource> {
  const parsed = pairsSettings.safeParse(settings);
  if (!parsed.success) {
    const [wrong] = explainIssues(pairsSettings, settings, parsed.error);
    throw new UsageError(`opening a data set: ${wrong}`);
  }
  const config = parsed.data;
  return PairSource.open(await openSet(config), config, onSkip);
}

async function openSet(config: PairsConfig): Promise<OpenedSet> {
  const doing = `reading data set ${config.path}`;
  const files = await listFiles(config.path);
  const format = config.format === "auto" ? await detect(files, doing) : config.format;
  const isPublic = (name: string): name is PublicSetName => (publicSets as readonly string[]).includes(name);
  const set: PublicSet | undefined = isPublic(format) ? publicSetTable[format] : undefined;
  const source = set ? format : basename(resolve(files.root));
  const words: SetWords = {
    ...set?.words,
    source,
    ...(config.instruction && { instruction: config.instruction }),
  };
  const chosen = { ...set?.columns, ...config.columns };
  const found = await blocksOf(set?.kind ?? (format as "folder"), files, {
    set,
    chosen,
    config,
    source,
    doing,
  });
  return { format, ...found, words, render: set?.render };
}

interface Reading {
  readonly set?: PublicSet;
  readonly chosen: Columns;
  readonly config: PairsConfig;
  readonly source: string;
  readonly doing: string;
}

type Found = Promise<{ blocks: Block[]; columns: ColumnNames }>;

async function blocksOf(
  kind: "folder" | "imagefolder" | "parquet" | "webdataset",
  files: FileList,
  reading: Reading,
): Found {
  if (kind === "folder") return pairBlocks(files, reading);
  const { chosen, config, source, doing } = reading;
  const belongs = { imagefolder: isList, parquet: isParquet, webdataset: isTar }[kind];
  const all = files.names.filter(belongs);
  if (all.length === 0) {
    const wanted = {
      imagefolder: "metadata.jsonl or metadata.csv",
      parquet: "*.parquet",
      webdataset: "*.tar",
    };
    throw new XPromptError(
      `${doing}: expected ${wanted[kind]}, got ${sample(files)} (check path and format)`,
    );
  }
  const by = kind === "imagefolder" ? "folders" : "shards";
  const names = ofSplit(all, (name) => name, by, config.split, doing);
  if (kind === "parquet") return parquetBlocks(files.root, names, chosen, source);
  if (kind === "webdataset") return tarBlocks(files.root, names, chosen, source);
  const blocks: Block[] = [];
  let columns: ColumnNames | undefined;
  for (const name of names) {
    const list = await metadataBlocks(files.root, name, chosen, source);
    columns ??= list.columns;
    blocks.push(...list.blocks);
  }
  return { blocks, columns: columns! };
}

/** The path may also name a list itself, under any file name. */
const isList = (name: string): boolean => isMetadata(name) || /^[^/]+\.(?:jsonl|csv)$/.test(name);

async function pairBlocks(files: FileList, { set, chosen, config, source, doing }: Reading): Found {
  const names = ofSplit(files.names, (name) => name, "folders", config.split, doing);
  const columns = findColumns([...folderColumns], chosen, doing);
  const layouts = set?.kind === "folder" ? set.layouts : plainLayouts;
  const pairs = pairFiles(names, layouts, set ? "all" : "best");
  if (pairs.length > 0)
    return { blocks: [folderBlock({ ...files, names }, pairs, columns, source)], columns };
  const wanted = set
    ? `pairs as ${source} has them`
    : "pairs (name.before.png and name.after.png, or input/ and output/)";
  throw new XPromptError(`${doing}: expected ${wanted}, got ${sample(files)} (see docs/datasets.md)`);
}

/** The first names in a folder, for an error. */
function sample({ names }: FileList): string {
  if (names.length === 0) return "no files";
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${names.length} files: ${shown}, …` : shown;
}

/** Detects the format of a set: a public set by its characteristic files, else lists, shards, pairs of files. */
async function detect(files: FileList, doing: string): Promise<OpenedSet["format"]> {
  const { root, names } = files;
  const table = Object.entries(publicSetTable) as [PublicSetName, PublicSet][];
  if (names.some(isMetadata)) return "imagefolder";
  const shard = names.find(isParquet);
  if (shard !== undefined) {
    const columns = await parquetColumns(root, shard);
    const known = table.find(
      (entry): entry is [PublicSetName, ParquetSet] =>
        entry[1].kind === "parquet" && entry[1].telltale.every((name) => columns.includes(name)),
    );
    return known?.[0] ?? "parquet";
  }
  if (names.some(isTar)) return "webdataset";
  if (names.length === 1 && isList(names[0]!)) return "imagefolder";
  const home = basename(resolve(root));
  const known = table.find(
    (entry): entry is [PublicSetName, FolderSet] =>
      entry[1].kind === "folder" &&
      names.some((name) => (entry[1] as FolderSet).telltale.test(`${home}/${name}`)) &&
      pairFiles(names, entry[1].layouts, "all").length > 0,
  );
  if (known) return known[0];
  if (pairFiles(names, plainLayouts, "best").length > 0) return "folder";
  throw new XPromptError(
    `${doing}: expected image pairs (input/ and output/, name.before.png and name.after.png, metadata.jsonl, *.parquet or *.tar), got ${sample(files)} (see docs/datasets.md)`,
  );
}
