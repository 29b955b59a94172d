/**
 * @file Checkpoints of a run: weights, optimizer moments and the task's extra arrays. They are exact, so that a killed
 * run resumes with bit-identical results. The folder is replaced as a whole; reading verifies its checksum.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { readJson, sha256File, writeFileAtomic, writeFolderAtomic } from "../../runtime/files.ts";
import { SafetensorsFile, type TensorToWrite, writeSafetensors } from "../../runtime/safetensors.ts";
import { recoverDirectory } from "../../runtime/temporary.ts";
import { ratesAgree, scheduleSchema } from "../optimizer/schedule.ts";
import { describeDifference, recipeDigest } from "../recipe.ts";
import type { TrainingState } from "./state.ts";

/** The folder of a checkpoint in that of its run, and its files. */
export const CHECKPOINT = "checkpoint";
export const TENSORS = "state.safetensors";
export const RECORD = "training.json";

const recordSchema = z.object({
  step: z.int().min(0),
  sha256: z.string(),
  /** Checksum of the frozen weights, if any. The checkpoint does not contain them. */
  frozen: z.string().optional(),
  /** Digests of the training sets, in the recipe's order. Older checkpoints do not have them. */
  sets: z.array(z.string()).optional(),
  /** Number of processes that shared the batches, if more than one. */
  processes: z.int().min(1).optional(),
  recipe: z.looseObject({ kind: z.string(), steps: z.int(), schedule: scheduleSchema }),
});

/** Further arrays that a task stores in checkpoints, by name. Loading restores them in place. */
export type Extras = Readonly<Record<string, Float32Array>>;

/**
 * Settings that may change on resuming, because they do not change the result. The digests in `sets` cover the contents of
 * `data`.
 */
const FREE_SETTINGS = ["checkpointEvery", "logEvery", "evaluateEvery", "sheetEvery", "workers", "data"];

/** Writes the checkpoint of a run folder; returns its path. */
export async function saveCheckpoint(
  run: string,
  state: TrainingState,
  extras: Extras,
  recipe: object,
  sets: readonly string[] = [],
  processes = 1,
): Promise<string> {
  const folder = join(run, CHECKPOINT);
  const write = async (temporary: string) => {
    const path = join(temporary, TENSORS);
    await writeSafetensors(path, tensorsOf(state, extras), { step: String(state.step) });
    const sha256 = await sha256File(path, "checkpoint");
    const shared = processes > 1 && { processes };
    const record = { step: state.step, sha256, frozen: state.frozen?.checksum, sets, ...shared, recipe };
    await writeFileAtomic(join(temporary, RECORD), `${JSON.stringify(record, null, 2)}\n`);
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
  sets: readonly string[] = [],
  phases: readonly number[] = [],
  processes = 1,
): Promise<void> {
  const folder = join(run, CHECKPOINT);
  const record = await readJson(join(folder, RECORD), recordSchema, "checkpoint");
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
  if (record.frozen !== state.frozen?.checksum)
    throw new XPromptError(
      `resuming ${run}: expected the model that it was started with (weights ${record.frozen?.slice(0, 16)}), got another (${state.frozen?.checksum.slice(0, 16)}) in its place (put it back, or start anew without --resume)`,
    );
  if (record.sets && String(record.sets) !== String(sets))
    throw new XPromptError(
      `resuming ${run}: expected the data sets and gathered pictures that it was started with, got others (put them back, or start anew without --resume)`,
    );
  if ((await sha256File(path, "checkpoint")) !== record.sha256)
    throw new XPromptError(
      `reading checkpoint ${path}: expected the recorded checksum, got another: the file is damaged (copy it again, or start again without --resume)`,
    );
  const file = await SafetensorsFile.open(path);
  try {
    const { step = String(record.step) } = file.metadata;
    if (step !== String(record.step))
      throw new XPromptError(
        `reading checkpoint ${folder}: ${RECORD} says step ${record.step}, ${TENSORS} ${step}: one of them is damaged (copy it again, or start anew without --resume)`,
      );
    for (const { name, shape, data } of tensorsOf(state, extras)) {
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

/**
 * Whether the run's number of steps may change without changing the steps done so far: the learning rates agree, and
 * no phase that starts at a share of the run has begun.
 */
function endMayMove(
  { step, recipe }: z.infer<typeof recordSchema>,
  steps: number,
  phases: readonly number[],
): boolean {
  const lengths = [recipe.steps, steps] as const;
  const hasBegun = (share: number) => step > Math.floor(share * Math.min(...lengths));
  return !phases.some(hasBegun) && ratesAgree(recipe.schedule, step, lengths);
}

/** The number of steps in a run's checkpoint. @throws XPromptError when the checkpoint is missing or damaged */
export async function stepsDone(run: string): Promise<number> {
  const record = await readJson(join(run, CHECKPOINT, RECORD), recordSchema, "checkpoint");
  return record.step;
}

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
