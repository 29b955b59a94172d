/**
 * @file Temporary files and folders beside their targets: naming, and cleanup after killed writers.
 *
 * A temporary is named `.<target>.<pid>@<host>.<random>.tmp`; a folder that is being replaced is set aside as `.old`.
 * Process ids are valid on one host and in one pid namespace only, so `<host>` identifies both.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

/** Milliseconds after which the temporary of a writer on another host counts as abandoned. */
const FOREIGN_AGE = 24 * 60 * 60 * 1000;
/** Bytes of the target's name in the name of a temporary, which must fit into 255 bytes. */
const NAME_BYTES = 200;

/** The scope of process ids: 8 hexadecimal digits of a hash of host, boot and pid namespace. */
const host = createHash("sha256")
  .update(JSON.stringify([hostname(), orEmpty(bootId), orEmpty(pidNamespace)]))
  .digest("hex")
  .slice(0, 8);

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
}

function pidNamespace(): string {
  return readlinkSync("/proc/self/ns/pid");
}

/** Systems other than Linux have neither. */
function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

/** A fresh name for a temporary in the directory of `target`. */
export function temporaryFor(target: string): string {
  const name = Buffer.from(basename(target))
    .subarray(0, NAME_BYTES)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
  return nameBeside(target, name, "tmp");
}

/** A fresh name for a folder that is set aside. It contains the whole name of the folder, for moving it back. */
export function asideOf(target: string): string {
  return nameBeside(target, basename(target), "old");
}

function nameBeside(target: string, name: string, kind: "tmp" | "old"): string {
  const random = randomBytes(4).toString("hex");
  return join(dirname(target), `.${name}.${process.pid}@${host}.${random}.${kind}`);
}

/**
 * Cleans up a directory after killed writers: a folder that was set aside and not replaced gets its name back, other
 * temporaries are removed. Temporaries of running writers stay, and so do recent ones of other hosts. Does nothing
 * without permission.
 */
export async function recoverDirectory(directory: string): Promise<void> {
  const names = await readdir(directory).catch((): string[] => []);
  for (const name of names) {
    const [, target, pid, where, kind] =
      /^\.(.+)\.(\d+)@([0-9a-f]{8})\.[0-9a-f]{8}\.(tmp|old)$/.exec(name) ?? [];
    if (target === undefined) continue;
    const temporary = join(directory, name);
    try {
      const isLost = kind === "old" && !names.includes(target);
      const isOurs = where === host;
      // A folder that was set aside on another host gets its name back at once; a running writer sets it aside again.
      if (!(isOurs ? await isAbandoned(temporary, Number(pid)) : isLost || (await isOld(temporary))))
        continue;
      if (isLost) await rename(temporary, join(directory, target));
      else await rm(temporary, { recursive: true, force: true });
    } catch {
      // Another process was faster, or there is no permission. The following write reports real problems.
    }
  }
}

const recovered = new Set<string>();

/** `recoverDirectory`, once per directory and process. */
export async function recoverOnce(directory: string): Promise<void> {
  if (recovered.has(directory)) return;
  recovered.add(directory);
  await recoverDirectory(directory);
}

/**
 * Whether the process of a temporary or lock on this host has ended. Ids are reused: a file older than the process is
 * not its own.
 */
export async function isAbandoned(path: string, pid: number): Promise<boolean> {
  if (pid === process.pid) return (await stat(path)).ctimeMs < performance.timeOrigin;
  return !isRunning(pid);
}

async function isOld(temporary: string): Promise<boolean> {
  const { ctimeMs, mtimeMs } = await stat(temporary);
  return Date.now() - Math.max(ctimeMs, mtimeMs) > FOREIGN_AGE;
}

/** Whether a process of this host and pid namespace runs. */
function isRunning(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
