/**
 * Evaluation: suites that measure a model.
 *
 * @module x-prompt/evaluation
 */
import type { Suite } from "./suite.ts";
import { compression } from "./suites/compression.ts";
import { dataSetSuites } from "./suites/data-sets.ts";
import { describe } from "./suites/describe.ts";
import { editing } from "./suites/editing.ts";
import { geneval } from "./suites/geneval.ts";
import { icons } from "./suites/icons.ts";
import { likelihood } from "./suites/likelihood.ts";
import { photos } from "./suites/photos.ts";
import { seen } from "./suites/seen.ts";
import { textToImage } from "./suites/text-to-image.ts";
import { unseen } from "./suites/unseen.ts";

export type { SamplingSettings } from "./generations.ts";
export type { Spread } from "./rehearsal.ts";
export { type Evaluation, type EvaluationOptions, evaluate } from "./run.ts";
export type { Suite, SuiteContext, SuiteOptions, SuiteOutcome } from "./suite.ts";

export const suites: readonly Suite[] = [
  unseen,
  seen,
  textToImage,
  geneval,
  editing,
  describe,
  likelihood,
  compression,
  photos,
  icons,
  ...dataSetSuites,
];
