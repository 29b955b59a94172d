/** @file Keeping a library quick: joining what many small additions leave, and indexes once there is much to search. */
import { databases } from "./arrow.ts";
import type { LibraryTable } from "./tables.ts";

/** Rows from which vectors are indexed: fewer are compared one by one in no time. */
const INDEX_FROM = 20_000;
/** Rows that may be added before the indexes are brought up to date. */
const MOST_UNINDEXED = 20_000;
/** Pieces that may lie about before they are joined: one comes with every addition. */
const MOST_PIECES = 32;
/** Versions are kept for those who still read them. */
const KEEP_MS = 3_600_000;

/** Joins, indexes and tidies a table where it is worth the while, or `always`. */
export async function indexTable(table: LibraryTable, { always = false } = {}): Promise<void> {
  const rows = await table.count();
  for (const [column, width] of Object.entries(table.vectorWidths)) {
    const filled = rows < INDEX_FROM ? 0 : await table.run((it) => it.countRows(`${column} IS NOT NULL`));
    if (filled >= INDEX_FROM) await indexVectors(table, column, filled, width);
  }
  const { fragmentStats } = await table.run((it) => it.stats());
  const unindexed = (column: string) =>
    table.run(async (it) => (await it.indexStats(`${column}_idx`))?.numUnindexedRows);
  // What the index of words does not have yet is found by any word, in no order.
  const wordless = table.fullText === undefined ? 0 : ((await unindexed(table.fullText)) ?? 0);
  const isBehind = wordless > 0 || ((await unindexed("id")) ?? rows) > MOST_UNINDEXED;
  if (always || isBehind || fragmentStats.numFragments > MOST_PIECES)
    await table.run((it) => it.optimize({ cleanupOlderThan: new Date(Date.now() - KEEP_MS) }));
}

/**
 * Cells, and in them a bit a number (RaBitQ, https://arxiv.org/abs/2405.12497); the best candidates are then compared
 * exactly. Product quantization takes seven times as long to build. Bits come in bytes: other widths are kept as they are.
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
