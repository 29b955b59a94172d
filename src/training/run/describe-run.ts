/** @file Describes a run folder without loading its weights. */
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
  /** Steps done, according to the checkpoint. */
  readonly done: number;
  readonly steps: number;
  /** The latest value of every metric. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Path of the loss curves, which every evaluation updates. */
  readonly curves?: string;
  /** Folder for `--model`, once the run has ended. */
  readonly model?: string;
}

const recipeSchema = z.looseObject({ kind: z.string(), seed: z.int(), steps: z.int() });

/** Whether `train` wrote this folder. */
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
