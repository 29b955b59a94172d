/** @file Results at full size from threads of their own, so that other requests do not wait for them. */
import type { ChangeSource } from "../image/full-size.ts";
import type { ByteImage } from "../image/image.ts";
import { defaultThreads, moduleBeside, ThreadPool } from "../runtime/threads.ts";
import type { FullSize, Original } from "./full-size.ts";

/** One result. */
export interface FullSizeJob {
  readonly original: Original;
  readonly source: ChangeSource;
}

export class FullSizeThreads {
  private readonly pool = new ThreadPool<FullSizeJob, ByteImage>(
    moduleBeside(import.meta.url, "full-size-worker"),
    defaultThreads(),
  );

  /** As `atFullSize`. A thread finishes its result after an abort, and drops it. */
  readonly apply: FullSize = (original, source, signal) => this.pool.run({ original, source }, [], signal);

  /** Ends the threads. Further calls do nothing. */
  close(): Promise<void> {
    return this.pool.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
