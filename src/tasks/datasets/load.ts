/** @file A small set, all of it in memory: a user's folder of some fifty pairs. */
import { XPromptError } from "../../errors.ts";
import { openPairs } from "./open.ts";
import type { DefectReport, LoadedPair } from "./record.ts";
import type { PairsSettings } from "./settings.ts";

/** The most that the decoded pictures may take, in bytes. */
const maxBytes = 2 ** 30;

export interface LoadedPairs {
  /** In the files' order. */
  readonly pairs: readonly LoadedPair[];
  readonly defects: DefectReport;
}

/**
 * All pairs of a folder, decoded: middle squares of `size` × `size` pixels.
 * @param settings what the folder does not say by itself
 * @throws XPromptError as `openPairs`, and for a set that is too large to hold
 */
export async function loadPairs(
  path: string,
  { size, ...settings }: Omit<PairsSettings, "path"> & { size: number },
): Promise<LoadedPairs> {
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
