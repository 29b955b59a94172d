/** @file Errors as HTTP responses, in the format of OpenAI's API. */
import { z } from "zod";
import { messageOf, XPromptError } from "../errors.ts";
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

/** Converts an error to a failure. Anything but an XPromptError is a defect: its message stays in the log. */
export function failureOf(error: unknown, signal?: AbortSignal): Failure {
  if (error instanceof Failure) return error;
  if (signal?.aborted && error === signal.reason)
    return new Failure(CLIENT_CLOSED, "the client closed the connection");
  if (error instanceof QueueRefusal) {
    const { message, reason, retryAfter } = error;
    return new Failure(reason === "full" ? 429 : 503, message, { code: `queue_${reason}`, retryAfter });
  }
  if (error instanceof XPromptError) return new Failure(400, error.message);
  return new Failure(500, "internal error (please report it, with the request id)");
}

/** Whether an error is a defect of ours, to log with its stack. */
export const isDefect = (error: unknown, signal?: AbortSignal): boolean =>
  failureOf(error, signal).status === 500;

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

/** The stack of a defect, else its message. */
export const traceOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
