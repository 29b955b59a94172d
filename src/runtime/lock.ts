/** @file Lock files: at most one process holds a lock. The lock of a process that has ended is taken over. */
import { randomBytes } from "node:crypto";
import { link, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import type { XPromptError } from "../errors.ts";
import { attempt } from "./files.ts";
import { isAbandoned, recoverOnce, temporaryFor } from "./temporary.ts";

/** Lock files that this thread holds, in folders by their real paths. */
const own = new Set<string>();

/** The messages of a lock. */
export interface Locking {
  /** The operation, for errors of the file system. */
  readonly doing: string;
  /** The error when `holder` has the lock. */
  busy(holder: string): XPromptError;
}

/**
 * Takes a lock: a file at `path` whose content names the holder, `<pid> <host name> <random>`. Containers with one host
 * name are not told apart: the lock must also be taken over after a restart of a machine or container.
 * @returns a function that releases it; calling it again is fine
 * @throws XPromptError `busy` when a running process, this process, or a process of another host holds it
 */
export async function takeLock(path: string, locking: Locking): Promise<() => Promise<void>> {
  const folder = await attempt(locking.doing, path, () => realpath(dirname(path)));
  const key = join(folder, basename(path));
  if (own.has(key)) throw locking.busy("this process");
  own.add(key);
  const content = `${process.pid} ${hostname()} ${randomBytes(4).toString("hex")}\n`;
  try {
    for (let tries = 0; tries < 3; tries++) {
      if (await create(path, content, locking.doing))
        return once(async () => {
          try {
            if ((await contentOf(path)) === content) await rm(path, { force: true });
          } finally {
            own.delete(key);
          }
        });
      await removeAbandoned(path, locking);
    }
    throw locking.busy("another process");
  } catch (error) {
    own.delete(key);
    throw error;
  }
}

/** Runs the work at the first call; later calls wait for it. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}

/** Creates the lock file with its content in one step, so that it is never seen empty. @returns false if it exists */
async function create(path: string, content: string, doing: string): Promise<boolean> {
  await recoverOnce(dirname(path));
  const temporary = temporaryFor(path);
  try {
    return await attempt(doing, path, async () => {
      await writeFile(temporary, content, { flag: "wx" });
      await link(temporary, path);
      return true;
    });
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Removes the lock of a process that has ended. @throws XPromptError when it runs, or belongs to another host */
async function removeAbandoned(path: string, locking: Locking): Promise<void> {
  const content = await contentOf(path);
  if (content === undefined) return;
  const [pid, where, token = "0"] = content.trim().split(" ");
  if (where !== undefined && where !== hostname())
    throw locking.busy(`process ${pid} of ${where} (if that is gone, remove ${path})`);
  if (!(await isAbandoned(path, Number(pid)).catch(goneIfMissing)))
    throw locking.busy(Number(pid) === process.pid ? "this process" : `process ${pid}`);
  // Removal has a lock of its own, so that no process removes a new lock that another process has just taken.
  const release = await takeLock(`${path}.${token}`, locking);
  try {
    if ((await contentOf(path)) === content) await rm(path, { force: true });
  } finally {
    await release();
  }
}

/** The content of a lock file; undefined if there is none. */
const contentOf = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch(() => undefined);

/** A lock that its holder has released meanwhile. */
function goneIfMissing(error: NodeJS.ErrnoException): true {
  if (error.code !== "ENOENT") throw error;
  return true;
}
