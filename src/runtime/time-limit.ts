/** @file Ending work that takes too long without giving way, such as a regular expression that backtracks for hours. */
import { createContext, Script } from "node:vm";

const context = createContext({});
const script = new Script("work()");

/** What `withTimeLimit` throws. */
export class TimeLimitError extends Error {}

/**
 * Does the work, or ends it after so many whole milliseconds. No timer of this thread could: the work does not give way to one.
 * @throws TimeLimitError when it was ended; what the work itself throws passes unchanged
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
