/** @file SHA-256 of a large file, beside other work. */
import { moduleBeside, ThreadPool } from "./threads.ts";

/** A file that a thread hashes, and its role in errors. */
export interface FileToHash {
  readonly path: string;
  readonly what: string;
}

/** The same as `sha256File`, by a thread. */
export async function sha256InThread(path: string, what: string): Promise<string> {
  await using pool = new ThreadPool<FileToHash, string>(moduleBeside(import.meta.url, "hash-worker"), 1);
  return await pool.run({ path, what }); // The pool closes when this function returns.
}
