/**
 * @file A time limit for synchronous work, such as a regular expression that backtracks for hours.
 * `time-limit.browser.ts` stands in for this module in browsers.
 */
import { createContext, Script } from "node:vm";

const context = createContext({});
const script = new Script("work()");

/** Thrown by `withTimeLimit`. */
export class TimeLimitError extends Error {}

/**
 * Runs synchronous work, and stops it after a number of milliseconds; a timer of this thread could not do that.
 * @throws TimeLimitError when the limit is exceeded; errors of the work pass unchanged
 */
export function withTimeLimit<T>(milliseconds: number, work: () => T): T {
  context.work = work;
  try {
    return script.runInContext(context, { timeout: milliseconds });
  } catch (error) {
    if (Object(error).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    throw new TimeLimitError(`expected an end within ${milliseconds} ms, got none`);
  } finally {
    context.work = undefined;
  }
}
