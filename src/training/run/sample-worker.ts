/**
 * @file The worker thread of `SampleStream`: receives step numbers, answers with batches.
 */
import { parentPort, workerData } from "node:worker_threads";
import { XPromptError } from "../../errors.ts";
import { loadSource, type WorkerAnswer, type WorkerSetup } from "./workers.ts";

const port = parentPort!;
const source = loadSource(workerData as WorkerSetup);
source.catch(() => {}); // Every step reports this error.

port.on("message", async (step: number) => {
  try {
    const batchOf = await source;
    const batch = await batchOf(step);
    port.postMessage({ batch } satisfies WorkerAnswer, ownBuffers(batch));
  } catch (error) {
    const ours = error instanceof XPromptError;
    port.postMessage({ error: asError(error), ours } satisfies WorkerAnswer);
  }
});

/** Buffers that belong to one array in `value` alone, and can therefore be transferred without a copy. */
function ownBuffers(value: unknown, found = new Set<ArrayBuffer>()): ArrayBuffer[] {
  if (value instanceof ArrayBuffer) {
    found.add(value);
  } else if (ArrayBuffer.isView(value)) {
    const { buffer, byteLength } = value;
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) found.add(buffer);
  } else if (typeof value === "object" && value !== null) {
    const items = value instanceof Map || value instanceof Set ? [...value.values()] : Object.values(value);
    for (const each of items) ownBuffers(each, found);
  }
  return [...found];
}

/** Converts anything thrown to an error that survives a structured clone. */
function asError(thrown: unknown): Error {
  const error = new Error(thrown instanceof Error ? thrown.message : String(thrown));
  if (thrown instanceof Error) error.stack = thrown.stack;
  return error;
}
