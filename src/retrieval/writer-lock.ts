/** @file Lock of a library folder: one writer at a time. */
import { join } from "node:path";
import { XPromptError } from "../errors.ts";
import { takeLock } from "../runtime/lock.ts";

/**
 * Takes the writer's lock of a library folder, `writer.lock`.
 * @returns a function that releases it
 * @throws XPromptError when another process, or this one, holds it
 */
export async function lockWriter(folder: string): Promise<() => Promise<void>> {
  return takeLock(join(folder, "writer.lock"), {
    doing: writingTo(folder),
    busy: (holder) => writerBusy(folder, holder),
  });
}

/** The error while `holder` writes to a library. */
export const writerBusy = (place: string, holder: string): XPromptError =>
  new XPromptError(
    `${writingTo(place)}: expected one writer at a time, got ${holder} writing (wait until it ends)`,
    { code: "ERR_LOCKED" },
  );

const writingTo = (place: string): string => `writing to the library ${place}`;
