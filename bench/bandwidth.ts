/** @file Measures the memory bandwidth, which bounds decoding: every token reads every weight. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { startThread } from "../src/runtime/threads.ts";
import { median } from "./timing.ts";

/** Bytes per buffer, much larger than any cache. */
const SIZE = 2 ** 27;
const COPIES = 12;

/** GB/s read plus written while `threads` threads copy memory in parallel. */
export async function copyBandwidth(threads: number): Promise<number> {
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
  const [from, to] = [Buffer.alloc(SIZE, 1), Buffer.alloc(SIZE, 2)];
  const times = Array.from({ length: COPIES }, () => {
    const start = performance.now();
    from.copy(to);
    return performance.now() - start;
  });
  parentPort.postMessage((2 * SIZE) / median(times.slice(2)) / 1e6);
}
