/**
 * Training: recipes and the runs they describe.
 *
 * @module x-prompt/training
 */
import { alone, type Collective } from "./distributed/collective.ts";
import type { TrainingTask } from "./run/task.ts";
import { type TokenizerRecipe, tokenizerRecipe } from "./tokenizer/recipe.ts";
import { tokenizerTask } from "./tokenizer/task.ts";
import { type TransformerRecipe, transformerRecipe } from "./transformer/recipe.ts";
import { transformerTask } from "./transformer/task.ts";

export { ReportedElsewhere } from "../errors.ts";
export { alone, type Collective, type Share, together } from "./distributed/collective.ts";
export { inProcess } from "./distributed/in-process.ts";
export { openMpi } from "./distributed/mpi.ts";
export { applyOverrides } from "./overrides.ts";
export { loadRecipe, type RecipeKind } from "./recipe.ts";
export { type Extras, hasCheckpoint, type Inputs } from "./run/checkpoint.ts";
export { describeRun, isRun, type RunDescription } from "./run/describe-run.ts";
export { Mirror } from "./run/mirror.ts";
export { checkRunFolder, runTraining } from "./run/run.ts";
export type { TrainingState } from "./run/state.ts";
export type { RunOptions, RunResult, RunSettings, StepOutcome, TrainingTask } from "./run/task.ts";
export type { SampleStream } from "./run/workers.ts";
export type { Manifest, Shard } from "./tokenized/manifest.ts";
export {
  type ShardOptions,
  Tokenization,
  type TokenizeOptions,
  tokenizeShard,
} from "./tokenized/tokenize.ts";
export { type TokenizerRecipe, type TransformerRecipe, tokenizerRecipe, transformerRecipe };

export const recipeKinds = [tokenizerRecipe, transformerRecipe] as const;

/**
 * Prepares the training task of a recipe: loads data and weights, builds the graphs.
 * @param collective the processes that share every batch; one by default
 */
export async function prepareTask(
  recipe: TokenizerRecipe | TransformerRecipe,
  collective: Collective = alone,
): Promise<TrainingTask<unknown>> {
  const task =
    recipe.kind === "tokenizer" ? tokenizerTask(recipe, collective) : transformerTask(recipe, collective);
  return (await task) as TrainingTask<unknown>;
}
