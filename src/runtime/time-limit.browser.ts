/** @file Synchronous work in browsers, which cannot end it: it is done without a limit. */
import type * as node from "./time-limit.ts";

export class TimeLimitError extends Error {}

export const withTimeLimit: typeof node.withTimeLimit = (_milliseconds, work) => work();
