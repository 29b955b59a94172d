/** @file What training needs of memory, known before it begins. */
import { XPromptError } from "../../errors.ts";
import { formatBytes } from "../../progress.ts";
import { availableMemory } from "../../runtime/memory.ts";
import type { Device } from "../../runtime/session.ts";
import { localProcesses } from "../../runtime/threads.ts";

/** Bytes that the process takes for each that a step holds: memory is taken in blocks, which are never quite full. */
const SLACK = 1.4;
/** What it takes by itself, with the tokenizers and the threads that make batches. */
const PROCESS = 300 * 2 ** 20;

export interface TrainingMemory {
  /** Bytes, about. */
  readonly bytes: number;
  /** Whether every step keeps its memory for its next run, or all share it. */
  readonly arena: boolean;
}

/**
 * What a run will need. Steps of several batch shapes keep what they have freed, each for itself; where there is not
 * enough for that, they share it, which takes a tenth to a fifth longer. What a GPU has is not known.
 * @param state bytes of weights and moments
 * @param steps bytes that the step of each batch shape holds at once
 * @throws XPromptError with what is needed, what there is, and what to do
 */
export async function trainingMemory(
  { kind, device }: { readonly kind: string; readonly device: Device },
  state: number,
  steps: readonly number[],
): Promise<TrainingMemory> {
  const [all, largest] = [steps.reduce((sum, bytes) => sum + bytes, 0), Math.max(...steps)];
  const [kept, shared] = [all, largest].map((bytes) => PROCESS + state + SLACK * bytes) as [number, number];
  const available =
    device === "cpu" ? (await availableMemory()) / localProcesses() : Number.POSITIVE_INFINITY;
  if (kept <= available) return { bytes: kept, arena: true };
  if (shared <= available) return { bytes: shared, arena: false };
  throw new XPromptError(
    `training ${kind}: expected ${formatBytes(shared)} of memory (weights and moments ${formatBytes(state)}), got ${formatBytes(available)} available (make batches or the model smaller, or close other programs)`,
  );
}
