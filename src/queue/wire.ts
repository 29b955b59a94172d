/** @file What submitters and workers must agree on: names of queues, ids of jobs, keys of results, failures as text. */
import { type ErrorCode, messageOf, UsageError, XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";

/** Begins every key in Redis. */
export const PREFIX = "xprompt";

/** Seconds that results and failures are kept: so long the same job is not computed again. */
export const KEPT_FOR = 3600;

/** Most characters of the data of a job, which is JSON. */
export const MAX_DATA = 64 * 2 ** 20;

/** Changes when jobs of an earlier version mean something else. */
const VERSION = 1;

/** A queue for each kind and model: a worker never takes a job that its model cannot do. */
export const queueName = (kind: string, fingerprint: string): string => `${kind}-${fingerprint}`;

/** Names a job by all that its result follows from. */
export const jobIdOf = (kind: string, fingerprint: string, data: string): string =>
  `job-${sha256(JSON.stringify([VERSION, kind, fingerprint, sha256(data)])).slice(0, 32)}`;

/** Results lie beside their jobs: BullMQ would copy them into the stream of events. */
export const resultKey = (queue: string, jobId: string): string => `${PREFIX}:${queue}:${jobId}:result`;

/** Messages that end running jobs: `ID TIMESTAMP`, for a job that is submitted again later has another timestamp. */
export const cancelChannel = (queue: string): string => `${PREFIX}:${queue}:cancel`;

export const cancelMessage = (job: { readonly id?: string; readonly timestamp: number }): string =>
  `${job.id} ${job.timestamp}`;

const CANCELLED = "cancelled";
const DEFECT = "internal error in a worker (see its log)";

/** What a worker says of a failure. What is no XPromptError is a defect, whose message stays in the worker's log. */
export function failureText(error: unknown, isCancelled: boolean): string {
  if (isCancelled) return CANCELLED;
  if (!(error instanceof XPromptError)) return DEFECT;
  return `${error.code}: ${error.message}`;
}

export const isCancelled = (text: string): boolean => text === CANCELLED;

/** The failure that a text stands for. */
export function failureIn(text: string): Error {
  const [, code, message = ""] = /^(ERR_[A-Z]+): (.*)$/s.exec(text) ?? [];
  if (code === "ERR_USAGE") return new UsageError(message);
  if (code !== undefined) return new XPromptError(message, { code: code as ErrorCode });
  if (/stalled/.test(text))
    return new XPromptError(
      "running a job: expected a result, got none: its workers ended again and again (see their logs; it may need more memory than they have)",
      { code: "ERR_QUEUE" },
    );
  return new Error(messageOf(text));
}
