/** @file `xprompt train RECIPE [--key=value …] [--resume] [--out DIR] [--json]` */
import { basename, join } from "node:path";
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import {
  applyOverrides,
  checkRunFolder,
  loadRecipe,
  prepareTask,
  recipeKinds,
  runTraining,
} from "../training/index.ts";
import { printJson, say } from "./output.ts";

interface TrainOptions {
  readonly out?: string;
  readonly resume: boolean;
  readonly json: boolean;
}

export function trainCommand(signal: AbortSignal): Command {
  return new Command("train")
    .description(
      "Train a model by a recipe. Any setting of the recipe can be changed: --steps=40, --optimizer.learningRate=3e-4",
    )
    .argument("<recipe>", "a recipe file (.ts or .js), or the name of a shipped recipe: own-pairs")
    .argument("[overrides...]", "settings of the recipe to change, as --key=value")
    .option("--out <dir>", "run folder. Defaults to runs/<recipe>")
    .option("--resume", "go on with the run in the folder", false)
    .option("--json", "print one JSON object on standard output", false)
    .allowUnknownOption()
    .action(async (path: string, overrides: string[], options: TrainOptions) => {
      if (path.startsWith("--"))
        throw new UsageError(`train: expected the recipe first and then its settings, got ${path} first`);
      const recipe = applyOverrides(await loadRecipe(path, recipeKinds), overrides, recipeKinds);
      const out = options.out ?? join("runs", basename(path).replace(/\.[cm]?[jt]s$/, ""));
      await checkRunFolder(out, options.resume);
      const task = await prepareTask(recipe);
      try {
        signal.throwIfAborted();
        const result = await runTraining(task, { out, resume: options.resume, signal });
        if (options.json) await printJson({ ...result, seed: recipe.seed });
        else say(`trained ${result.steps} steps, loss ${result.loss.toFixed(4)}; model in ${result.model}`);
      } finally {
        await task.close();
      }
    });
}
