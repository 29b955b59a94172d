/** @file The memory that is available in a browser, which does not say. */
import type * as node from "./available-memory.ts";

/** WebAssembly's memory ends at 4 GiB; half of it is left to weights and intermediate values. */
const BYTES = 2 ** 31;

export const availableMemory: typeof node.availableMemory = async () => BYTES;
