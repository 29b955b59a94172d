/** @file SHA-256 of a large file, beside other work. */
import { XPromptError } from "../errors.ts";
import { moduleBeside, ThreadPool } from "./threads.ts";

/** A file that a thread hashes, and its role in errors. */
export interface FileToHash {
  readonly path: string;
  readonly what: string;
}

/** The SHA-256, or why the file cannot be read. */
export type HashAnswer = { readonly sha256: string } | { readonly refused: string };

/** The same as `sha256File`, by a thread. */
export async function sha256InThread(path: string, what: string): Promise<string> {
  await using pool = new ThreadPool<FileToHash, HashAnswer>(moduleBeside(import.meta.url, "hash-worker"), 1);
  const answer = await pool.run({ path, what });
  if ("refused" in answer) throw new XPromptError(answer.refused, { code: "ERR_FILE" });
  return answer.sha256;
}
