/** @file SHA-256 of a large file, beside other work. */
import { XPromptError } from "../errors.ts";
import type { FileToHash, HashAnswer } from "./files.ts";
import { moduleBeside, ThreadPool } from "./threads.ts";

/** The same as `sha256File`, by a thread. */
export async function sha256InThread(path: string, what: string): Promise<string> {
  await using pool = new ThreadPool<FileToHash, HashAnswer>(moduleBeside(import.meta.url, "hash-worker"), 1);
  const answer = await pool.run({ path, what });
  if ("refused" in answer) throw new XPromptError(answer.refused, { code: "ERR_FILE" });
  return answer.sha256;
}
