/** @file Evaluation: suites that measure a model, and the metrics they use. */
import type { Suite } from "./suite.ts";
import { unseen } from "./suites/unseen.ts";

export { type DrawSettings, drawSettingsSchema } from "./drawings.ts";
export { type EvaluationOptions, evaluate } from "./run.ts";
export type { Suite, SuiteOptions } from "./suite.ts";
export { comparisonModels } from "./suites/unseen-comparison.ts";

export const suites: readonly Suite[] = [unseen];
