/** @file `xprompt train RECIPE [--key=value …] [--resume] [--out DIR] [--mirror PLACE] [--json]` */
import { basename, join } from "node:path";
import { Command } from "commander";
import { Interrupted, UsageError } from "../errors.ts";
import {
  applyOverrides,
  checkRunFolder,
  hasCheckpoint,
  loadRecipe,
  Mirror,
  prepareTask,
  type RunResult,
  recipeKinds,
  runTraining,
} from "../training/index.ts";
import { printJson, say } from "./output.ts";

interface TrainOptions {
  readonly out?: string;
  readonly mirror?: string;
  readonly resume: boolean;
  readonly json: boolean;
}

export function trainCommand(signal: AbortSignal): Command {
  return new Command("train")
    .description(
      "Train a model with a recipe. Any setting of the recipe can be changed: --steps=40, --optimizer.learningRate=3e-4",
    )
    .argument("<recipe>", "a recipe file (.ts or .js), or the name of a shipped recipe: own-pairs")
    .argument("[overrides...]", "settings of the recipe to change, as --key=value")
    .option("--out <dir>", "run folder. Defaults to runs/<recipe>")
    .option(
      "--mirror <place>",
      "copy each checkpoint to a folder or s3://bucket/prefix; --resume fetches it from there",
    )
    .option("--resume", "resume the run in the folder", false)
    .option("--json", "print one JSON object on standard output", false)
    .allowUnknownOption()
    .action(async (path: string, overrides: string[], options: TrainOptions) => {
      if (path.startsWith("--"))
        throw new UsageError(`train: expected the recipe first and then its settings, got ${path} first`);
      const recipe = applyOverrides(await loadRecipe(path, recipeKinds), overrides, recipeKinds);
      const out = options.out ?? join("runs", basename(path).replace(/\.[cm]?[jt]s$/, ""));
      await using mirror = options.mirror === undefined ? undefined : await Mirror.open(options.mirror);
      await (options.resume ? mirror?.restore(out) : mirror?.checkEmpty());
      await checkRunFolder(out, options.resume);
      const task = await prepareTask(recipe);
      try {
        signal.throwIfAborted();
        const result = await runTraining(task, { out, resume: options.resume, signal, mirror });
        if (options.json) await printJson({ ...result, seed: recipe.seed });
        else say(`trained ${result.steps} steps: ${figuresOf(result)}; model in ${result.model}`);
      } catch (error) {
        if (!signal.aborted || !(await hasCheckpoint(out))) throw error;
        throw new Interrupted(`interrupted: ${out} holds the progress so far (continue with --resume)`);
      } finally {
        await task.close();
      }
    });
}

/** Held-out figures before and after; the loss of the last batch if nothing is held out. */
function figuresOf({ heldOut: { before, after }, loss }: RunResult): string {
  const changes = Object.entries(after).map(
    ([name, value]) => `${name} ${show(before[name])} → ${show(value)}`,
  );
  return changes.length > 0 ? `held out, ${changes.join(", ")}` : `loss of the last batch ${show(loss)}`;
}

const show = (value: number | undefined): string => value?.toPrecision(4) ?? "none";
