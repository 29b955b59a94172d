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
  const names = (await table.run((it) => it.schema())).fields.map(({ name }) => name);
  for (const column of ["text", "image"].filter((name) => names.includes(name))) {
    const filled = await table.run((it) => it.countRows(`${column} IS NOT NULL`));
    if (filled >= INDEX_FROM) await indexVectors(table, column, filled);
  }
  const { fragmentStats } = await table.run((it) => it.stats());
  const unindexed = await table.run(async (it) => (await it.indexStats("id_idx"))?.numUnindexedRows ?? rows);
  if (always || fragmentStats.numFragments > MOST_PIECES || unindexed > MOST_UNINDEXED)
    await table.run((it) => it.optimize({ cleanupOlderThan: new Date(Date.now() - KEEP_MS) }));
}

/** Product quantization in cells: a quarter of a byte a number, and exact distances for the best. */
async function indexVectors(table: LibraryTable, column: string, rows: number): Promise<void> {
  const there = await table.run((it) => it.listIndices());
  if (there.some(({ columns }) => columns.includes(column))) return;
  const { Index } = databases().lance;
  const numPartitions = Math.max(1, Math.round(Math.sqrt(rows)));
  await table.run((it) =>
    it.createIndex(column, { config: Index.ivfPq({ distanceType: "cosine", numPartitions }), replace: true }),
  );
}
