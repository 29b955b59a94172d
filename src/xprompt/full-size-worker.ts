/** @file The thread that brings results to full size. */
import { applyChange } from "../image/apply-change.ts";
import { changeOf } from "../image/full-size.ts";
import { answerJobs } from "../runtime/thread-jobs.ts";
import type { FullSizeJob } from "./full-size-threads.ts";

answerJobs(
  ({ original, source }: FullSizeJob) => applyChange(changeOf(source, original), original.original),
  ({ data }) => [data.buffer as ArrayBuffer],
);
