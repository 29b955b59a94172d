/** @file Training: recipes and the runs they describe. */
export { applyOverrides } from "./overrides.ts";
export { loadRecipe } from "./recipe.ts";
export { type RunOptions, type RunResult, runTraining, type TrainingTask } from "./run.ts";
export { type TokenizerRecipe, tokenizerRecipe, tokenizerTask } from "./tokenizer.ts";
