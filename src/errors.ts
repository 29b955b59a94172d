/**
 * @file The errors that a user can cause. Anything else that is thrown is a defect of this project.
 *
 * Messages read `what was being done: expected X, got Y (what to do)`.
 */

/** The most characters of a message: a broken file may contain names of megabytes. */
const MAX_LENGTH = 2000;

/**
 * What went wrong, for programs. Codes are stable; messages are not.
 *
 * | code | |
 * |---|---|
 * | `ERR_USAGE` | an option or an argument is wrong |
 * | `ERR_INPUT` | a file, picture, model or answer is incomplete, damaged or of another kind |
 * | `ERR_FILE` | the file system refused: no such file, no permission, a full disk; `cause.code` may say which |
 * | `ERR_LOCKED` | another process is writing there |
 * | `ERR_MISMATCH` | a prompt or an adapter belongs to another model |
 * | `ERR_MEMORY` | not enough memory |
 * | `ERR_DEVICE` | the device is not available |
 * | `ERR_PACKAGE` | an optional package is not installed |
 * | `ERR_RELEASED` | the model, batcher or library was released or closed before |
 * | `ERR_QUEUE` | Redis is away, or its queue is full |
 * | `ERR_INTERRUPTED` | the user ended it |
 */
export type ErrorCode =
  | "ERR_USAGE"
  | "ERR_INPUT"
  | "ERR_FILE"
  | "ERR_LOCKED"
  | "ERR_MISMATCH"
  | "ERR_MEMORY"
  | "ERR_DEVICE"
  | "ERR_PACKAGE"
  | "ERR_RELEASED"
  | "ERR_QUEUE"
  | "ERR_INTERRUPTED";

interface XPromptErrorOptions extends ErrorOptions {
  /** Defaults to the code of `cause`, if that is an XPromptError, and to `ERR_INPUT`. */
  readonly code?: ErrorCode;
}

/** Something from outside was wrong or failed: exit status 1. */
export class XPromptError extends Error {
  override name = "XPromptError";
  readonly code: ErrorCode;
  /** Exit status of the command line when this error ends it. */
  readonly exitCode: number = 1;

  constructor(message: string, { code, ...options }: XPromptErrorOptions = {}) {
    super(
      message.length > MAX_LENGTH
        ? `${message.slice(0, MAX_LENGTH / 2)} … ${message.slice(-MAX_LENGTH / 2)}`
        : message,
      options,
    );
    this.code = code ?? (options.cause instanceof XPromptError ? options.cause.code : "ERR_INPUT");
  }
}

/** A command or an option was used wrongly: exit status 2. */
export class UsageError extends XPromptError {
  override name = "UsageError";
  override readonly code = "ERR_USAGE";
  override readonly exitCode = 2;
}

/** The user ended it: exit status 130. */
export class Interrupted extends XPromptError {
  override name = "Interrupted";
  override readonly code = "ERR_INTERRUPTED";
  override readonly exitCode = 130;

  constructor(message = "interrupted") {
    super(message);
  }
}

/** Ends a process silently: another process of the same job reports the error. */
export class ReportedElsewhere extends XPromptError {
  override name = "ReportedElsewhere";

  constructor(override readonly exitCode = 1) {
    super("another process failed");
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first line of that message: native libraries add their stack below it. */
export function firstLineOf(error: unknown): string {
  return messageOf(error).split("\n", 1)[0]!;
}
