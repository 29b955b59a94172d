/** @file The thread that brings results to full size. */
import { parentPort } from "node:worker_threads";
import { applyChange } from "../image/apply-change.ts";
import { changeOf } from "../image/full-size.ts";
import type { FullSizeAnswer, FullSizeJob } from "./full-size-threads.ts";

const port = parentPort!;

port.on("message", (job: FullSizeJob) => {
  const answer = answerTo(job);
  port.postMessage(answer, "image" in answer ? [answer.image.data.buffer as ArrayBuffer] : []);
});

function answerTo({ original, source }: FullSizeJob): FullSizeAnswer {
  try {
    return { image: applyChange(changeOf(source, original), original.original) };
  } catch (error) {
    return { error: error as Error };
  }
}
