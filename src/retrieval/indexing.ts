/** @file Maintenance of a library: compacts fragments, and indexes large tables. */
import { databases } from "./arrow.ts";
import type { LibraryTable } from "./tables.ts";

/** Rows from which vectors are indexed; fewer rows are quickly compared one by one. */
const INDEX_FROM = 20_000;
/** New rows before the indexes are updated. */
const MOST_UNINDEXED = 20_000;
/** Fragments before they are compacted; every addition makes one. */
const MAX_FRAGMENTS = 32;
/** How long old versions are kept for other readers. */
const KEEP_MS = 3_600_000;

/** Compacts, indexes and cleans a table if it is due. */
export async function indexTable(table: LibraryTable): Promise<void> {
  const rows = await table.count();
  for (const [column, width] of Object.entries(table.vectorWidths)) {
    const filled = rows < INDEX_FROM ? 0 : await table.run((it) => it.countRows(`${column} IS NOT NULL`));
    if (filled >= INDEX_FROM) await indexVectors(table, column, filled, width);
  }
  const { fragmentStats } = await table.run((it) => it.stats());
  const unindexed = (column: string) =>
    table.run(async (it) => (await it.indexStats(`${column}_idx`))?.numUnindexedRows);
  // Rows missing from the full-text index match any word, in no order.
  const wordless = table.fullText === undefined ? 0 : ((await unindexed(table.fullText)) ?? 0);
  const isBehind = wordless > 0 || ((await unindexed("id")) ?? rows) > MOST_UNINDEXED;
  if (isBehind || fragmentStats.numFragments > MAX_FRAGMENTS)
    await table.run((it) => it.optimize({ cleanupOlderThan: new Date(Date.now() - KEEP_MS) }));
}

/**
 * An inverted file with one bit per number (RaBitQ, https://arxiv.org/abs/2405.12497); the best candidates are then
 * compared exactly. Product quantization takes seven times as long to build. Vectors whose width is not a multiple of 8
 * are stored unquantized.
 */
async function indexVectors(table: LibraryTable, column: string, rows: number, width: number): Promise<void> {
  const there = await table.run((it) => it.listIndices());
  if (there.some(({ columns }) => columns.includes(column))) return;
  const { Index } = databases().lance;
  const cells = {
    distanceType: "cosine" as const,
    numPartitions: Math.max(1, Math.round(Math.sqrt(rows))),
    sampleRate: 64,
    maxIterations: 20,
  };
  const config = width % 8 === 0 ? Index.ivfRq(cells) : Index.ivfFlat(cells);
  await table.run((it) => it.createIndex(column, { config }));
}
