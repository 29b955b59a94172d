/**
 * @file Reading files with clear errors, and writing files and folders atomically.
 *
 * Data goes to a temporary beside its target (`temporary.ts`), is flushed to the disk and renamed into place, so that a
 * `kill -9`, a full disk or a power cut leaves either the old or the new version, never a part. The first write of a
 * process in a directory removes the temporaries of killed processes.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, type Stats } from "node:fs";
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { checkJson, parseJson } from "./json.ts";
import { asideOf, recoverOnce, temporaryFor } from "./temporary.ts";

/** The content of a file: all of it, or chunk by chunk so that it need not fit in memory. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface WriteOptions {
  /** Stops writing: nothing stays behind, and the signal's reason is thrown. */
  signal?: AbortSignal;
}

/** A file to write. */
export interface FileToWrite {
  readonly path: string;
  readonly data: FileContent;
}

/**
 * Writes a file atomically: `path` has either the old or the complete new content at any moment.
 * @throws XPromptError when the file system refuses; errors of `data` pass unchanged
 */
export async function writeFileAtomic(
  path: string,
  data: FileContent,
  options: WriteOptions = {},
): Promise<void> {
  await writeFilesAtomic([{ path, data }], options);
}

/**
 * Writes several files, each atomically. They are renamed into place one after another, once all are complete on disk:
 * an error until then leaves all of them as they were. If a rename fails, the files before it stay.
 * @throws XPromptError when the file system refuses; errors of a file's `data` pass unchanged
 */
export async function writeFilesAtomic(
  files: readonly FileToWrite[],
  { signal }: WriteOptions = {},
): Promise<void> {
  const staged: StagedFile[] = [];
  try {
    for (const file of files) await stage(file, staged, signal);
    for (const { doing, temporary, target } of staged)
      await attempt(doing, target, () => rename(temporary, target));
  } catch (error) {
    for (const { temporary } of staged) await rm(temporary, { force: true });
    throw error;
  }
  for (const directory of new Set(staged.map(({ target }) => dirname(target))))
    await syncDirectory(directory);
}

/** A file that is complete on disk under a temporary name. */
interface StagedFile {
  readonly doing: string;
  readonly temporary: string;
  readonly target: string;
}

/** Writes a temporary, and adds it to `staged` as soon as it exists. */
async function stage({ path, data }: FileToWrite, staged: StagedFile[], signal?: AbortSignal): Promise<void> {
  const doing = `writing ${path}`;
  const target = await resolveTarget(path);
  const former = await statOrNothing(doing, target);
  if (former && !former.isFile()) throw notAFile(doing, former, "choose another path");
  await recoverOnce(dirname(target));
  const temporary = temporaryFor(target);
  const handle = await attempt(doing, target, () => open(temporary, "wx", former && former.mode & 0o777));
  staged.push({ doing, temporary, target });
  try {
    // The mode of `open` is reduced by the umask.
    if (former) await attempt(doing, target, () => handle.chmod(former.mode & 0o777));
    for await (const chunk of chunksOf(data)) {
      signal?.throwIfAborted();
      await attempt(doing, target, () => writeAll(handle, chunk));
    }
    signal?.throwIfAborted();
    await attempt(doing, target, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/**
 * Writes a folder atomically: `path` is either the old or the complete new folder at any moment. `build` fills a
 * temporary folder, which is then renamed into place. After a kill between the two renames of a replacement,
 * `recoverDirectory` moves the old one back; the next write calls it, and so does all code that looks for such folders.
 * @param options `replace`: whether to replace a folder that is not empty. Defaults to false
 * @throws XPromptError when the file system refuses; errors of `build` pass unchanged
 */
export async function writeFolderAtomic(
  path: string,
  build: (folder: string) => Promise<void>,
  options: WriteOptions & { replace?: boolean } = {},
): Promise<void> {
  const doing = `writing folder ${path}`;
  const target = await resolveTarget(path);
  await recoverOnce(dirname(target));
  const former = await statOrNothing(doing, target);
  if (former && !former.isDirectory()) {
    throw new XPromptError(`${doing}: expected no file there, got one (choose another path)`, {
      code: "ERR_FILE",
    });
  }
  if (former && !options.replace && (await attempt(doing, target, () => readdir(target))).length > 0) {
    throw new XPromptError(
      `${doing}: expected an empty or no folder, got one with files (choose another path)`,
      { code: "ERR_FILE" },
    );
  }
  await checkNotMounted(target, doing);
  await statOrNothing(doing, asideOf(target)); // refuses a too long name before the work starts
  const temporary = temporaryFor(target);
  await attempt(doing, target, () => mkdir(temporary));
  try {
    await build(temporary);
    options.signal?.throwIfAborted();
    await placeFolder(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** Checks that a folder to be replaced is no mount point, which cannot be renamed. @throws XPromptError when it is */
export async function checkNotMounted(path: string, doing: string): Promise<void> {
  const target = await resolveTarget(path);
  const former = await statOrNothing(doing, target);
  if (!former || former.dev === (await stat(dirname(target))).dev) return;
  throw new XPromptError(
    `${doing}: expected a folder that can be replaced, got a mount point (use a folder inside it)`,
    { code: "ERR_FILE" },
  );
}

/**
 * Moves a complete folder to its final name on the same disk and replaces an older one. `path` is either the old or the
 * new folder at any moment.
 */
export async function placeFolder(ready: string, path: string): Promise<void> {
  const doing = `writing folder ${path}`;
  const target = await resolveTarget(path);
  const former = await statOrNothing(doing, target);
  await attempt(doing, target, () => syncTree(ready));
  await attempt(doing, target, () => swapFolder(ready, target, former !== undefined));
}

/** Renames `fresh` to `target`. The old folder is set aside first, and moved back on failure. */
async function swapFolder(fresh: string, target: string, exists: boolean, tries = 3): Promise<void> {
  const former = asideOf(target);
  if (exists) await rename(target, former);
  try {
    await rename(fresh, target);
  } catch (error) {
    if (!exists) throw error;
    const isBack = await rename(former, target).then(
      () => false,
      () => true,
    );
    // A recovery on another host has moved the old folder back in the meantime.
    if (isBack && tries > 1) return swapFolder(fresh, target, true, tries - 1);
    throw error;
  }
  await syncDirectory(dirname(target));
  if (!exists) return;
  const discarded = temporaryFor(target); // a folder named `.old` must be complete
  await rename(former, discarded);
  await rm(discarded, { recursive: true, force: true });
}

/** Checks that `path` is a regular file: opening a pipe would block for ever. @throws XPromptError when it is not */
async function statFile(path: string, doing: string): Promise<Stats> {
  const found = await attempt(doing, path, () => stat(path));
  if (!found.isFile()) throw notAFile(doing, found, "use the path of a file");
  return found;
}

/** Opens a file for reading. @throws XPromptError when it is missing, unreadable, or not a regular file */
export async function openFile(path: string, doing: string): Promise<FileHandle> {
  await statFile(path, doing);
  return attempt(doing, path, () => open(path, "r"));
}

/**
 * The bytes of a file. `what` names its role in errors ("image", "model config").
 * @param maxBytes the largest size that is read; 1 GiB by default
 * @throws XPromptError when it is missing, unreadable, not a regular file, or larger than `maxBytes`
 */
export async function readFileChecked(path: string, what: string, maxBytes = 2 ** 30): Promise<Buffer> {
  const doing = `reading ${what} ${path}`;
  const found = await statFile(path, doing);
  if (found.size > maxBytes) {
    throw new XPromptError(
      `${doing}: expected at most ${maxBytes} bytes, got ${found.size} (is it the right file?)`,
    );
  }
  return attempt(doing, path, () => readFile(path));
}

/**
 * A JSON file that follows `schema`. A byte order mark before it does not matter.
 * @throws XPromptError as `readFileChecked`, or when it is not JSON, or does not match the schema
 */
export async function readJson<S extends z.ZodType>(
  path: string,
  schema: S,
  what: string,
): Promise<z.infer<S>> {
  const doing = `reading ${what} ${path}`;
  const text = (await readFileChecked(path, what)).toString("utf8").replace(/^\uFEFF/, "");
  return checkJson(parseJson(text, doing), schema, doing);
}

/** Writes `value` as indented JSON, atomically. @throws XPromptError when the file system refuses */
export const writeJson = (path: string, value: unknown, options: WriteOptions = {}): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`, options);

interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Receives the number of bytes read. */
  onProgress?(bytes: number): void;
}

/** SHA-256 of a file of any size. `what` names its role in errors. @throws the signal's reason, once it is aborted */
export async function sha256File(
  path: string,
  what: string,
  { signal, onProgress }: ReadOptions = {},
): Promise<string> {
  const hash = createHash("sha256");
  const doing = `reading ${what} ${path}`;
  await statFile(path, doing);
  let bytes = 0;
  await attempt(doing, path, async () => {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
      signal?.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.length;
      onProgress?.(bytes);
    }
  });
  return hash.digest("hex");
}

/** The path of a `file:` URL. @throws UsageError for another */
export function pathOfUrl(url: URL, doing: string): string {
  if (url.protocol === "file:") return fileURLToPath(url);
  throw new UsageError(`${doing}: expected a file: URL, got ${url.protocol} (fetch it, and pass the bytes)`);
}

/** Whether a path lies in a folder, or is it, by the names alone: links are not followed. */
export function isInside(folder: string, path: string): boolean {
  const steps = relative(resolve(folder), resolve(path));
  return !(steps === ".." || steps.startsWith(`..${sep}`) || isAbsolute(steps));
}

/**
 * Makes a folder, and those above it, where they are missing. Node's own way to do so never ends where the system refuses
 * with ENOENT, as in `/proc`.
 * @param doing what for, in errors
 */
export async function makeFolder(path: string, doing = `making ${path}`): Promise<void> {
  const isFolder = async (place: string) =>
    (await stat(place).catch(() => undefined))?.isDirectory() ?? false;
  const make = async (place: string): Promise<void> => {
    if (await isFolder(place)) return;
    if (dirname(place) !== place) await make(dirname(place));
    await mkdir(place).catch(async (error) => {
      if (!(await isFolder(place))) throw error; // another process may have made it
    });
  };
  await attempt(doing, path, () => make(resolve(path)));
}

/** Runs file operations; errors of the system become XPromptErrors, others pass unchanged. */
export async function attempt<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    const reason = explain(code, path) ?? messageOf(error);
    throw new XPromptError(`${doing}: ${reason}`, { code: "ERR_FILE", cause: error });
  }
}

/** What a system error means to the user, and what to do about it. */
function explain(code: string, path: string): string | undefined {
  const known: Record<string, string> = {
    ENOENT: `expected it to exist, got ${existsSync(dirname(path)) ? "no such file" : `no folder ${dirname(path)}`} (check the path)`,
    ENOTDIR: `expected a folder at ${dirname(path)}, got a file (check the path)`,
    EEXIST: "expected no file in the way, got one (move it, or choose another path)",
    EISDIR: "expected a file, got a folder (use the path of a file)",
    EACCES: "expected access, got: permission denied (change the permissions, or choose another path)",
    EPERM: "expected access, got: not permitted (change the permissions, or choose another path)",
    EROFS: "expected a writable disk, got a read-only one (choose another path)",
    ENOSPC: "expected room on the disk, got: it is full (free some space, or choose another disk)",
    EDQUOT: "expected room on the disk, got: your quota is used up (free some space, or choose another disk)",
    EFBIG: "expected a disk that supports files of this size, got: file too large (choose another disk)",
    ENAMETOOLONG: "expected a shorter name, got one that is too long for the disk (choose another name)",
    EBUSY:
      "expected it to be free, got: it is in use (close what uses it; of a mounted folder use a folder inside it)",
    EMFILE: "expected a free file descriptor, got: too many open files (raise `ulimit -n`)",
    EIO: "expected a working disk, got an input/output error (check the disk)",
  };
  return known[code];
}

function notAFile(doing: string, found: Stats, advice: string): XPromptError {
  return new XPromptError(
    `${doing}: expected a file, got ${found.isDirectory() ? "a folder" : "a device or pipe"} (${advice})`,
    { code: "ERR_FILE" },
  );
}

/** The target of `path`: a symbolic link stays, and the file it points to is written. */
export async function resolveTarget(path: string): Promise<string> {
  const found = await realpath(path).catch(() => undefined);
  if (found !== undefined) return found;
  // Follow links to a file that does not exist yet; a loop of links returns `path`.
  let target = resolve(path);
  for (let links = 0; links < 40; links++) {
    const next = await readlink(target).catch(() => undefined);
    if (next === undefined) return target;
    target = resolve(dirname(target), next);
  }
  return resolve(path);
}

async function statOrNothing(doing: string, path: string): Promise<Stats | undefined> {
  return attempt(doing, path, async () => {
    try {
      return await stat(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  });
}

function chunksOf(data: FileContent): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof data === "string") return [Buffer.from(data)];
  return data instanceof Uint8Array ? [data] : data;
}

/** Writes all of `bytes`. A single call writes at most 2 GiB, and may write less than requested. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, Math.min(bytes.length - at, 2 ** 30));
    at += bytesWritten;
  }
}

/** Flushes every file and folder under `folder` to the disk. */
async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) await sync(path);
  }
  await syncDirectory(folder);
}

/** Folders that may be written but not read, and file systems that cannot flush folders: their files are flushed. */
const UNFLUSHABLE = ["EACCES", "EPERM", "EINVAL", "ENOTSUP", "EBADF"];

/** Flushes a directory's entries to the disk, so that renames in it survive a power cut. Windows does this itself. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === "win32") return;
  await sync(directory).catch((error: NodeJS.ErrnoException) => {
    if (!UNFLUSHABLE.includes(error.code ?? "")) throw error;
  });
}

async function sync(path: string): Promise<void> {
  // Windows flushes only files that are open for writing.
  const handle = await open(path, process.platform === "win32" ? "r+" : "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
