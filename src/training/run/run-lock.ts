/** @file Lock of a run folder: one run at a time. */
import { join } from "node:path";
import { XPromptError } from "../../errors.ts";
import { makeFolder } from "../../runtime/files.ts";
import { takeLock } from "../../runtime/lock.ts";

/**
 * Takes the lock of a run folder, `run.lock`, and makes the folder if it is missing.
 * @returns a function that releases it
 * @throws XPromptError when another process, or this one, trains in the folder
 */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  const doing = `training into ${folder}`;
  await makeFolder(folder);
  return takeLock(join(folder, "run.lock"), {
    doing,
    busy: (holder) =>
      new XPromptError(
        `${doing}: expected one run at a time, got one by ${holder} (wait until it ends, or choose another --out)`,
        { code: "ERR_LOCKED" },
      ),
  });
}
