/** @file Errors as HTTP responses, in the format of OpenAI's API. */
import { z } from "zod";
import { type ErrorCode, messageOf, XPromptError } from "../errors.ts";
import { QueueRefusal } from "../queue/index.ts";

/** A request that failed: HTTP status and message for the client. */
export class Failure extends XPromptError {
  override name = "Failure";

  constructor(
    readonly status: number,
    message: string,
    readonly about: {
      /** The invalid field of the request. */
      readonly param?: string;
      readonly code?: string;
      /** Seconds after which the client may retry. */
      readonly retryAfter?: number;
      /** Methods that the path allows. */
      readonly allow?: string;
    } = {},
  ) {
    super(message);
  }
}

export const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
export type ErrorBody = z.output<typeof errorSchema>;

/** Status for a client that closed the connection; only the log sees it. */
const CLIENT_CLOSED = 499;

/** The status of errors whose message is for the client. The others may name files of the server, as a full disk does. */
const statuses: Partial<Record<ErrorCode, 400 | 503>> = {
  ...{ ERR_INPUT: 400, ERR_MISMATCH: 400, ERR_USAGE: 400 },
  ...{ ERR_MEMORY: 503, ERR_QUEUE: 503 },
};
/** Seconds after which the server may have what it lacks. */
const RETRY_AFTER = 10;

/** Converts an error to a failure. The messages of defects, and of trouble with files, devices or packages, stay in the log. */
export function failureOf(error: unknown, signal?: AbortSignal): Failure {
  if (error instanceof Failure) return error;
  if (signal?.aborted && error === signal.reason)
    return new Failure(CLIENT_CLOSED, "the client closed the connection");
  if (error instanceof QueueRefusal) {
    const { message, reason, retryAfter } = error;
    return new Failure(reason === "full" ? 429 : 503, message, { code: `queue_${reason}`, retryAfter });
  }
  const status = error instanceof XPromptError ? statuses[error.code] : undefined;
  if (status === 400) return new Failure(400, messageOf(error));
  if (status === 503)
    return new Failure(503, messageOf(error), { code: "unavailable", retryAfter: RETRY_AFTER });
  return new Failure(500, "internal error (please report it, with the request id)");
}

/** Whether the server is at fault, and its operator needs the error with its stack. */
export function isServerFault(error: unknown, signal?: AbortSignal): boolean {
  const failure = failureOf(error, signal);
  return failure !== error && failure.status >= 500;
}

/**
 * The result of work with data of the server, such as a library. What the data lack is no fault of the request, and
 * messages name their place: only the log shows them.
 */
export async function ofServer<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Failure || !(error instanceof XPromptError) || error.code !== "ERR_INPUT")
      throw error;
    throw new Error(error.message, { cause: error });
  }
}

export function bodyOf({ status, message, about }: Failure): ErrorBody {
  const type =
    status === 401
      ? "authentication_error"
      : status === 429
        ? "rate_limit_error"
        : status < 500
          ? "invalid_request_error"
          : "server_error";
  return { error: { message, type, param: about.param ?? null, code: about.code ?? null } };
}

export function responseOf(failure: Failure): Response {
  const { retryAfter, allow } = failure.about;
  const headers = new Headers();
  if (retryAfter !== undefined) headers.set("retry-after", String(retryAfter));
  if (allow !== undefined) headers.set("allow", allow);
  if (failure.status === 401) headers.set("www-authenticate", "Bearer");
  return Response.json(bodyOf(failure), { status: failure.status, headers });
}

/** The stack of an error, else its message. */
export const traceOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
