/** @file Estimates the memory of a training run before it starts. */
import { XPromptError } from "../../errors.ts";
import { formatBytes } from "../../format.ts";
import { availableMemory } from "../../runtime/available-memory.ts";
import type { Device } from "../../runtime/session-options.ts";
import { localProcesses } from "../../runtime/threads.ts";

/** Allocated bytes per byte in use: the allocator reserves blocks that are never quite full. */
const SLACK = 1.4;
/** Memory of the process itself, with the tokenizers and the worker threads, in bytes. */
const PROCESS = 300 * 2 ** 20;

export interface TrainingMemory {
  /** Estimated bytes. */
  readonly bytes: number;
  /** Whether each batch shape keeps an arena of its own; otherwise all shapes share memory. */
  readonly arena: boolean;
}

/**
 * Estimates the memory of a run. Within a phase of the run each batch shape keeps its freed memory in an arena of its own.
 * If memory does not suffice for that, all shapes share it, which takes 10 to 20% longer. The memory of GPUs is unknown.
 * @param state bytes of weights and optimizer moments
 * @param phases peak bytes of one step, per batch shape, for each phase
 * @throws XPromptError when the available memory is not sufficient
 */
export async function trainingMemory(
  { kind, device }: { readonly kind: string; readonly device: Device },
  state: number,
  phases: readonly (readonly number[])[],
): Promise<TrainingMemory> {
  const all = Math.max(...phases.map((steps) => steps.reduce((sum, bytes) => sum + bytes, 0)));
  const largest = Math.max(...phases.flat());
  const [kept, shared] = [all, largest].map((bytes) => PROCESS + state + SLACK * bytes) as [number, number];
  const available =
    device === "cpu" ? (await availableMemory()) / localProcesses() : Number.POSITIVE_INFINITY;
  if (kept <= available) return { bytes: kept, arena: true };
  if (shared <= available) return { bytes: shared, arena: false };
  throw new XPromptError(
    `training ${kind}: expected ${formatBytes(shared)} of memory (weights and moments ${formatBytes(state)}), got ${formatBytes(available)} available (make batches or the model smaller, or close other programs)`,
    { code: "ERR_MEMORY" },
  );
}
