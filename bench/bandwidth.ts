/** @file Measures how fast memory is read, which bounds decoding: every token reads every weight. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { startThread } from "../src/runtime/threads.ts";
import { median } from "./timing.ts";

/** Bytes per buffer, much larger than most caches. */
const SIZE = 2 ** 29;
const READS = 8;

/** GB/s while `threads` threads read memory in parallel, each its own. */
export async function readBandwidth(threads: number): Promise<number> {
  const rate = () =>
    new Promise<number>((resolve, reject) => {
      const thread = startThread(new URL(import.meta.url), null, [import.meta.url]);
      thread.once("message", resolve);
      thread.once("error", reject);
    });
  const rates = await Promise.all(Array.from({ length: threads }, rate));
  return rates.reduce((sum, each) => sum + each, 0);
}

if (!isMainThread && parentPort && workerData === null) {
  const buffer = Buffer.alloc(SIZE, 1);
  const times = Array.from({ length: READS }, () => {
    const start = performance.now();
    buffer.indexOf(2); // not there: the whole buffer is searched, with vector instructions
    return performance.now() - start;
  });
  parentPort.postMessage(SIZE / median(times.slice(2)) / 1e6);
}
