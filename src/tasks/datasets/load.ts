/** @file Loads a small set into memory, such as a user's folder of some fifty pairs. */
import { UsageError, XPromptError } from "../../errors.ts";
import { openPairs } from "./open.ts";
import type { DefectReport, LoadedPair } from "./record.ts";
import type { PairsSettings } from "./settings.ts";

/** The most bytes of the decoded pictures. */
const maxBytes = 2 ** 30;

export interface LoadedPairs {
  /** In the files' order. */
  readonly pairs: readonly LoadedPair[];
  readonly defects: DefectReport;
}

/**
 * Decodes all pairs of a folder to central squares of `size` × `size` pixels.
 * @param settings settings that the folder does not imply
 * @throws UsageError for a size that is not a whole number from 1
 * @throws UsageError or XPromptError as `openPairs`, and for a set that does not fit in memory
 */
export async function loadPairs(
  path: string,
  { size, ...settings }: Omit<PairsSettings, "path"> & { size: number },
): Promise<LoadedPairs> {
  if (!(Number.isSafeInteger(size) && size >= 1))
    throw new UsageError(`loading pairs: size: expected a whole number from 1, got ${String(size)}`);
  const source = await openPairs({ ...settings, path });
  const bytes = source.length * 2 * 3 * 4 * size ** 2;
  if (bytes > maxBytes) {
    const most = Math.floor(maxBytes / (2 * 3 * 4 * size ** 2));
    throw new XPromptError(
      `loading pairs of ${path}: expected at most ${most} of ${size} × ${size} pixels, got ${source.length} (train from it as a data set instead)`,
    );
  }
  const pairs: LoadedPair[] = [];
  for await (const pair of source.decoded(size)) pairs.push(pair);
  return { pairs, defects: source.defects };
}
