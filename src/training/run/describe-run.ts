/** @file What a run folder holds, told without loading it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../../runtime/files.ts";
import { hasCheckpoint, stepsDone } from "./checkpoint.ts";
import { readMetrics } from "./metrics.ts";

export interface RunDescription {
  readonly folder: string;
  /** The kind of recipe. */
  readonly recipe: string;
  readonly seed: number;
  /** Steps that are done, by the checkpoint, of all. */
  readonly done: number;
  readonly steps: number;
  /** The latest value of everything that was measured. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Picture of the curves, drawn at every evaluation. */
  readonly curves?: string;
  /** Folder to use with `--model`, once the run has ended. */
  readonly model?: string;
}

const recipeSchema = z.looseObject({ kind: z.string(), seed: z.int(), steps: z.int() });

/** Whether a folder is one that `train` writes. */
export const isRun = (folder: string): boolean =>
  existsSync(join(folder, "recipe.json")) && existsSync(join(folder, "metrics.jsonl"));

/** @throws XPromptError when a file of the run is missing or broken */
export async function describeRun(folder: string): Promise<RunDescription> {
  const { kind, seed, steps } = await readJson(join(folder, "recipe.json"), recipeSchema, "recipe");
  const metrics: Record<string, number> = {};
  for (const { step: _, time: __, ...values } of await readMetrics(join(folder, "metrics.jsonl")))
    Object.assign(metrics, values);
  const curves = join(folder, "curves.svg");
  const model = join(folder, "model");
  return {
    ...{ folder, recipe: kind, seed },
    done: (await hasCheckpoint(folder)) ? await stepsDone(folder) : 0,
    ...{ steps, metrics },
    ...(existsSync(curves) && { curves }),
    ...(existsSync(model) && { model }),
  };
}
