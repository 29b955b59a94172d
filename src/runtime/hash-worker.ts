/** @file The worker thread of `sha256InThread`. */
import { sha256File } from "./files.ts";
import type { FileToHash } from "./hash-thread.ts";
import { answerJobs } from "./thread-jobs.ts";

answerJobs(({ path, what }: FileToHash) => sha256File(path, what));
