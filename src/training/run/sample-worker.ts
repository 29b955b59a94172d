/** @file The worker thread of `SampleStream`: receives step numbers, answers with batches. */
import { workerData } from "node:worker_threads";
import { answerJobs } from "../../runtime/thread-jobs.ts";
import { loadSource, type WorkerSetup } from "./workers.ts";

const source = loadSource(workerData as WorkerSetup);
source.catch(() => {}); // Every step reports this error.

answerJobs(async (step: number) => (await source)(step), ownBuffers);

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
