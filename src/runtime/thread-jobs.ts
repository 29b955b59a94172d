/** @file What threads and their `ThreadPool` say to each other: jobs go there, answers and failures come back. */
import { parentPort } from "node:worker_threads";
import { type ErrorCode, messageOf, UsageError, XPromptError } from "../errors.ts";

/** Why a job has no answer. A structured clone would lose the class and the code of an error. */
interface Failure {
  readonly message: string;
  readonly stack?: string;
  /** Of an XPromptError. */
  readonly code?: ErrorCode;
}

export type Reply<Answer> = { readonly answer: Answer } | { readonly failure: Failure };

/**
 * Does the jobs that come to this thread.
 * @param work what it throws is thrown by `ThreadPool.run`
 * @param buffersOf buffers of an answer that move to the pool's thread
 */
export function answerJobs<Job, Answer>(
  work: (job: Job) => Answer | Promise<Answer>,
  buffersOf: (answer: Answer) => readonly ArrayBuffer[] = () => [],
): void {
  const port = parentPort!;
  port.on("message", async (job: Job) => {
    try {
      const answer = await work(job);
      port.postMessage({ answer } satisfies Reply<Answer>, [...buffersOf(answer)]);
    } catch (error) {
      port.postMessage({ failure: failureOf(error) } satisfies Reply<Answer>);
    }
  });
}

const failureOf = (error: unknown): Failure => ({
  message: messageOf(error),
  ...(error instanceof Error && { stack: error.stack }),
  ...(error instanceof XPromptError && { code: error.code }),
});

/** The error of a failure, with the stack of the thread. */
export function errorOf({ message, stack, code }: Failure): Error {
  const cause = Object.assign(new Error(message), { stack });
  if (code === undefined) return cause;
  return code === "ERR_USAGE"
    ? new UsageError(message, { cause })
    : new XPromptError(message, { code, cause });
}
