/** @file All kinds of jobs. */
import type { JobKind } from "../kind.ts";
import { caption } from "./caption.ts";
import { compress } from "./compress.ts";
import { describe } from "./describe.ts";
import { evaluate } from "./evaluate.ts";
import { generate } from "./generate.ts";
import { reconstruct } from "./reconstruct.ts";
import { score } from "./score.ts";
import { tokenize } from "./tokenize.ts";

export const jobKinds: readonly JobKind[] = [
  generate,
  describe,
  compress,
  reconstruct,
  score,
  evaluate,
  caption,
  tokenize,
];
