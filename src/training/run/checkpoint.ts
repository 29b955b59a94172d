/**
 * @file Checkpoints of a run: weights, optimizer moments and the task's extra arrays. They are exact, so that a killed
 * run resumes with bit-identical results. The folder is replaced as a whole; reading verifies its checksum.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { readJson, sha256File, writeFolderAtomic, writeJson } from "../../runtime/files.ts";
import { SafetensorsFile, type TensorToWrite, writeSafetensors } from "../../runtime/safetensors.ts";
import { recoverDirectory } from "../../runtime/temporary.ts";
import { ratesAgree, scheduleSchema } from "../optimizer/schedule.ts";
import { describeDifference, recipeDigest } from "../recipe.ts";
import type { TrainingState } from "./state.ts";

/** The folder of a checkpoint in that of its run, and its files. */
export const CHECKPOINT = "checkpoint";
export const TENSORS = "state.safetensors";
export const RECORD = "training.json";

/** The record of a checkpoint. */
export const recordSchema = z.object({
  step: z.int().min(0),
  sha256: z.string(),
  /** Checksum of the frozen weights of another model, if any. The checkpoint does not contain them. */
  frozen: z.string().optional(),
  /** See `Inputs`. Older checkpoints lack them. */
  sets: z.array(z.string()).optional(),
  models: z.array(z.string()).optional(),
  /** Number of processes that shared the batches, if more than one. */
  processes: z.int().min(1).optional(),
  recipe: z.looseObject({ kind: z.string(), steps: z.int(), schedule: scheduleSchema }),
});
type CheckpointRecord = z.infer<typeof recordSchema>;

/** Digests of what a run reads besides its recipe. It resumes only with the same. */
export interface Inputs {
  /** Training sets, in the recipe's order. */
  readonly sets?: readonly string[];
  /** Tokenizers, and weights that are mixed in at the end. */
  readonly models?: readonly string[];
}

/** Further arrays that a task stores in checkpoints, by name. Loading restores them in place. */
export type Extras = Readonly<Record<string, Float32Array>>;

/**
 * Settings that may change on resuming, because they do not change the result. The digests in `sets` cover the contents of
 * `data`.
 */
const FREE_SETTINGS = ["checkpointEvery", "logEvery", "evaluateEvery", "sheetEvery", "workers", "data"];

/** What a record knows of the inputs of its run, in words. */
const INPUTS = {
  sets: "data sets and gathered pictures",
  models: "tokenizers and initial weights",
  frozen: "frozen weights",
} as const;

/** Writes the checkpoint of a run folder; returns its path. */
export async function saveCheckpoint(
  run: string,
  state: TrainingState,
  extras: Extras,
  recipe: object,
  inputs: Inputs = {},
  processes = 1,
): Promise<string> {
  const folder = join(run, CHECKPOINT);
  const write = async (temporary: string) => {
    const path = join(temporary, TENSORS);
    await writeSafetensors(path, tensorsOf(state, extras), { step: String(state.step) });
    const checksum = await sha256File(path, "checkpoint");
    const shared = processes > 1 && { processes };
    const frozen = state.frozen?.checksum;
    const record = { step: state.step, sha256: checksum, frozen, ...inputs, ...shared, recipe };
    await writeJson(join(temporary, RECORD), record);
  };
  await writeFolderAtomic(folder, write, { replace: true });
  return folder;
}

/**
 * Restores the checkpoint of a run folder into `state` and `extras`.
 * @param phases see `TrainingTask.phases`
 * @param processes number of processes that resume; if it differs, the number of threads may differ too
 * @throws XPromptError when the checkpoint is missing or damaged, or belongs to a different recipe, model or data set
 */
export async function loadCheckpoint(
  run: string,
  state: TrainingState,
  extras: Extras,
  recipe: { readonly steps: number },
  { sets, models }: Inputs = {},
  phases: readonly number[] = [],
  processes = 1,
): Promise<void> {
  const folder = join(run, CHECKPOINT);
  const record = await readRecord(run);
  const path = join(folder, TENSORS);
  const isSameSoFar = endMayMove(record, recipe.steps, phases);
  const free = processes === (record.processes ?? 1) ? FREE_SETTINGS : [...FREE_SETTINGS, "threads"];
  const [before, now] = [isSameSoFar ? { ...record.recipe, steps: recipe.steps } : record.recipe, recipe].map(
    (each) => computedPart(each, free),
  );
  if (recipeDigest(before!) !== recipeDigest(now!))
    throw new XPromptError(
      `resuming ${run}: expected the recipe that it was started with, got ${describeDifference(before!, now!).join("; ")} (use the same settings; to train a finished run further, start another with --init=${run}/model)`,
    );
  checkInputs(run, INPUTS.sets, record.sets, sets);
  checkInputs(run, INPUTS.models, record.models, models);
  const checksum = state.frozen?.checksum;
  if (checksum !== undefined && record.frozen !== checksum)
    throw new XPromptError(
      `resuming ${run}: expected the model that it was started with (weights ${record.frozen?.slice(0, 16)}), got another (${checksum.slice(0, 16)}) in its place (put it back, or start another run with --out)`,
    );
  if ((await sha256File(path, "checkpoint")) !== record.sha256)
    throw new XPromptError(
      `reading checkpoint ${path}: expected the recorded checksum, got another: the file is damaged (copy it again, or start another run with --out)`,
    );
  const file = await SafetensorsFile.open(path);
  try {
    const { step = String(record.step) } = file.metadata;
    if (step !== String(record.step))
      throw new XPromptError(
        `reading checkpoint ${folder}: ${RECORD} says step ${record.step}, ${TENSORS} ${step}: one of them is damaged (copy it again, or start another run with --out)`,
      );
    for (const { name, shape, data } of tensorsOf(state, extras)) {
      // Older checkpoints have the digest of a codebook of patches instead, which the run has computed again.
      if (!file.tensors.has(name) && record.frozen === sha256(data)) continue;
      const values = await file.readFloat32(name);
      if (values.length !== data.length)
        throw new XPromptError(
          `reading checkpoint ${path}: ${name}: expected shape [${shape}], got ${values.length} values (a checkpoint of another model?)`,
        );
      data.set(values);
    }
  } finally {
    await file.close();
  }
  state.step = record.step;
}

/** @throws XPromptError when the inputs of a kind are others than those in the checkpoint, if it has them */
function checkInputs(
  run: string,
  what: string,
  before: readonly string[] | undefined,
  now: readonly string[] = [],
): void {
  if (before && String(before) !== String(now))
    throw new XPromptError(
      `resuming ${run}: expected the ${what} that it was started with, got others (put them back, or start another run with --out)`,
    );
}

/**
 * Whether the run's number of steps may change without changing the steps done so far: the learning rates agree, and
 * no phase that starts at a share of the run has begun. Share 0 is step 0 in a run of any length, and a phase at share 1
 * never begins.
 */
function endMayMove({ step, recipe }: CheckpointRecord, steps: number, phases: readonly number[]): boolean {
  const lengths = [recipe.steps, steps] as const;
  const hasBegun = (share: number) =>
    share > 0 && share < 1 && step >= Math.ceil(share * Math.min(...lengths));
  return step <= steps && !phases.some(hasBegun) && ratesAgree(recipe.schedule, step, lengths);
}

/**
 * The settings and inputs in which two checkpoints differ, but for settings that may change within a run and inputs that
 * one record lacks. Checkpoints of one run have none.
 */
export function differencesOf(one: CheckpointRecord, other: CheckpointRecord): string[] {
  const free = [...FREE_SETTINGS, "threads", "steps"];
  const isOther = (key: keyof typeof INPUTS) =>
    one[key] && other[key] && String(one[key]) !== String(other[key]);
  return [
    ...describeDifference(computedPart(one.recipe, free), computedPart(other.recipe, free)),
    ...(["sets", "models", "frozen"] as const).filter(isOther).map((key) => `other ${INPUTS[key]}`),
  ];
}

/** The record of a run's checkpoint. @throws XPromptError when it is missing or damaged */
export const readRecord = (run: string): Promise<CheckpointRecord> =>
  readJson(join(run, CHECKPOINT, RECORD), recordSchema, "checkpoint");

/** The number of steps in a run's checkpoint. @throws XPromptError when the checkpoint is missing or damaged */
export const stepsDone = async (run: string): Promise<number> => (await readRecord(run)).step;

/** Whether a run folder holds a checkpoint. First restores a checkpoint that a killed writer had moved aside. */
export async function hasCheckpoint(run: string): Promise<boolean> {
  await recoverDirectory(run);
  return existsSync(join(run, CHECKPOINT, RECORD));
}

function tensorsOf(
  state: TrainingState,
  extras: Extras,
): (TensorToWrite & { readonly data: Float32Array })[] {
  const buffers = [...state.buffers].map(([name, { shape, data }]) => ({
    name,
    dtype: "F32" as const,
    shape,
    data,
  }));
  const others = Object.entries(extras).map(([name, data]) => ({
    name: `extra ${name}`,
    dtype: "F32" as const,
    shape: [data.length],
    data,
  }));
  return [...buffers, ...others];
}

function computedPart(recipe: object, free: readonly string[]): object {
  return Object.fromEntries(Object.entries(recipe).filter(([key]) => !free.includes(key)));
}
