/** @file One writer at a time for a library in a folder: a file that names the process, taken over once that is gone. */
import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { XPromptError } from "../errors.ts";
import { attempt } from "../runtime/files.ts";

const NAME = "writer.lock";
/** Locks that this process holds, by path. */
const own = new Set<string>();

/**
 * Takes the lock of a folder.
 * @returns a function that gives it back
 * @throws XPromptError when another process, or another part of this one, holds it
 */
export async function lockWriter(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, NAME);
  const doing = `writing to the library ${folder}`;
  if (own.has(path)) throw busy(doing, "this process");
  own.add(path);
  try {
    for (let tried = 0; tried < 3; tried++) {
      if (await take(path, doing))
        return async () => {
          await rm(path, { force: true });
          own.delete(path);
        };
      await removeAbandoned(path, doing);
    }
    throw busy(doing, "another process");
  } catch (error) {
    own.delete(path);
    throw error;
  }
}

const busy = (doing: string, who: string): XPromptError =>
  new XPromptError(`${doing}: expected one writer at a time, got ${who} at it (wait until it has ended)`);

async function take(path: string, doing: string): Promise<boolean> {
  return attempt(doing, path, async () => {
    try {
      const file = await open(path, "wx");
      await file.writeFile(`${process.pid} ${hostname()}\n`);
      await file.close();
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    }
  });
}

/** Removes the lock of a process that is gone. @throws XPromptError when it is not, or on another machine */
async function removeAbandoned(path: string, doing: string): Promise<void> {
  const holder = await readFile(path, "utf8").catch(() => undefined);
  if (holder === undefined) return;
  const [pid, host] = holder.trim().split(" ");
  if (host !== undefined && host !== hostname())
    throw busy(doing, `process ${pid} of ${host} (if that is gone, remove ${path})`);
  if (Number(pid) !== process.pid && isAlive(Number(pid))) throw busy(doing, `process ${pid}`);
  // Moved away before it is removed: of two that find it abandoned, one gets it.
  const aside = `${path}.${randomBytes(4).toString("hex")}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await readFile(aside, "utf8")) === holder) await rm(aside, { force: true });
  else await rename(aside, path);
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
