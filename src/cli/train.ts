/** @file `xprompt train RECIPE [--key=value …] [--resume] [--out DIR] [--mirror PLACE] [--distributed mpi] [--json]` */
import { basename, join } from "node:path";
import { Command, Option } from "commander";
import { Interrupted, ReportedElsewhere, UsageError } from "../errors.ts";
import { resolveTarget } from "../runtime/files.ts";
import { Resources } from "../runtime/resources.ts";
import {
  alone,
  applyOverrides,
  type Collective,
  checkRunFolder,
  hasCheckpoint,
  loadRecipe,
  Mirror,
  openMpi,
  prepareTask,
  type RunResult,
  recipeKinds,
  runTraining,
  together,
} from "../training/index.ts";
import { flagsOf } from "./options.ts";
import { counted, printJson, say } from "./output.ts";

interface TrainOptions {
  readonly out?: string;
  readonly mirror?: string;
  readonly distributed?: "mpi";
  readonly resume: boolean;
  readonly json: boolean;
}

export function trainCommand(signal: AbortSignal): Command {
  return new Command("train")
    .description(
      "Train a model with a recipe. Any setting of the recipe can be changed: --steps=40, --optimizer.learningRate=3e-4",
    )
    .argument("<recipe>", "a recipe file (.ts or .js), or the name of a shipped recipe, such as own-pairs")
    .argument("[overrides...]", "settings of the recipe to change, as --key=value")
    .option("--out <dir>", "run folder. Defaults to runs/<recipe>")
    .option(
      "--mirror <place>",
      "copy each checkpoint to a folder or s3://bucket/prefix; --resume fetches it from there",
    )
    .option("--resume", "resume the run in the folder", false)
    .addOption(
      new Option(
        "--distributed <how>",
        "share every batch with the other processes that mpirun or srun started",
      ).choices(["mpi"]),
    )
    .option("--json", "print one JSON object on standard output", false)
    .allowUnknownOption()
    .action(async (path: string, overrides: string[], options: TrainOptions, command: Command) => {
      if (path.startsWith("--"))
        throw new UsageError(`train: expected the recipe first and then its settings, got ${path} first`);
      await inProcesses(options, (collective) =>
        train(path, { overrides, known: flagsOf(command) }, options, collective, signal),
      );
    });
}

/** Works alone, or as one process of a job. A process that fails leaves without waiting for the others: that ends the job. */
async function inProcesses(
  { distributed }: TrainOptions,
  work: (collective: Collective) => Promise<void>,
): Promise<void> {
  const collective = distributed ? await openMpi() : alone;
  try {
    await work(collective);
  } catch (error) {
    if (error instanceof Interrupted || error instanceof ReportedElsewhere) await collective.close();
    throw error;
  }
  await collective.close();
}

/** Process 0 alone has a run folder and a mirror, and speaks. */
async function train(
  path: string,
  { overrides, known }: { readonly overrides: readonly string[]; readonly known: readonly string[] },
  { out: folder, mirror: place, resume, json }: TrainOptions,
  collective: Collective,
  signal: AbortSignal,
): Promise<void> {
  const leads = collective.rank === 0;
  const isShared = collective.size > 1;
  const out = folder ?? join("runs", basename(path).replace(/\.[cm]?[jt]s$/, ""));
  await using resources = new Resources();
  const { task, mirror } = await together(collective, async () => {
    const recipe = applyOverrides(await loadRecipe(path, recipeKinds), overrides, recipeKinds, known);
    if (place !== undefined && (await resolveTarget(place)) === (await resolveTarget(out)))
      throw new UsageError(`--mirror: expected another place than the run folder ${out}, got the same`);
    const mirror = leads && place !== undefined ? resources.own(await Mirror.open(place)) : undefined;
    await (resume ? mirror?.restore(out) : mirror?.checkEmpty());
    if (leads) await checkRunFolder(out, resume);
    const task = await prepareTask(recipe, collective);
    resources.defer(() => task.close());
    return { task, mirror };
  });
  if (leads && isShared)
    signal.addEventListener("abort", () =>
      say(
        `stopping after this step (if another process has died, --resume goes on from the last checkpoint in ${out})`,
      ),
    );
  try {
    if (!isShared) signal.throwIfAborted();
    const result = await runTraining(task, { out, resume, signal, mirror });
    if (!leads) return;
    if (json) await printJson({ output: result.model, ...result, seed: task.recipe.seed });
    else say(`trained ${counted(result.steps, "step")}: ${figuresOf(result)}; model in ${result.model}`);
  } catch (error) {
    if (!leads && error instanceof Interrupted) throw new ReportedElsewhere(error.exitCode);
    const isInterrupted = error instanceof Interrupted || (signal.aborted && error === signal.reason);
    if (!isInterrupted || !(await hasCheckpoint(out))) throw error;
    throw new Interrupted(`interrupted: ${out} holds the progress so far (continue with --resume)`);
  }
}

/** Held-out figures before and after; the loss of the last batch if nothing is held out. */
function figuresOf({ heldOut: { before, after }, loss }: RunResult): string {
  const changes = Object.entries(after).map(
    ([name, value]) => `${name} ${show(before[name])} → ${show(value)}`,
  );
  return changes.length > 0 ? `held out, ${changes.join(", ")}` : `loss of the last batch ${show(loss)}`;
}

const show = (value: number | undefined): string => value?.toPrecision(4) ?? "none";
