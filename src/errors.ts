/**
 * @file The errors a user may cause. Anything else that is thrown is a defect of ours.
 *
 * Messages read `what was being done: expected X, got Y (what to do)`.
 */

/** The most characters of a message: a broken file may name things by megabytes. */
const LONGEST = 2000;

/** Something from outside was wrong or failed: one clear line, exit status 1, an HTTP 4xx. */
export class XPromptError extends Error {
  override name = "XPromptError";
  constructor(message: string, options?: ErrorOptions) {
    super(
      message.length > LONGEST
        ? `${message.slice(0, LONGEST / 2)} … ${message.slice(-LONGEST / 2)}`
        : message,
      options,
    );
  }
  /** Exit status of the command line when this error ends it. */
  readonly exitCode: number = 1;
}

/** The command or the options were used wrongly: exit status 2. */
export class UsageError extends XPromptError {
  override name = "UsageError";
  override readonly exitCode = 2;
}

/** The user ended it: exit status 130. */
export class Interrupted extends XPromptError {
  override name = "Interrupted";
  override readonly exitCode = 130;

  constructor(message = "interrupted") {
    super(message);
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
