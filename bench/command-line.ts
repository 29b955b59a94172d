/** @file What benchmarks of the command line run, and on which pictures. */
import { fileURLToPath } from "node:url";

/** The command line. */
export const bin = fileURLToPath(new URL("../bin/xprompt.js", import.meta.url));

/** The path of a picture of one example: before, after or query-1. */
export const picturePath = (name: string): string =>
  fileURLToPath(new URL(`../examples/seen/depth/${name}.png`, import.meta.url));
