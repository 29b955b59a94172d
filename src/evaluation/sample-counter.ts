/** @file The progress of a suite that generates no pictures. */
import { Progress } from "../progress.ts";
import type { SuiteContext } from "./suite.ts";

export class SampleCounter {
  private readonly progress: Progress | undefined;
  private readonly signal: AbortSignal | undefined;
  private done = 0;

  /** @param total samples of the suite */
  constructor(label: string, total: number, { quiet, signal }: Pick<SuiteContext, "quiet" | "signal">) {
    this.progress = quiet ? undefined : new Progress({ label, total, unit: "samples" });
    this.signal = signal;
  }

  /** Counts one more sample. @throws the signal's reason when it is aborted */
  next(): void {
    this.progress?.update(++this.done);
    this.signal?.throwIfAborted();
  }

  [Symbol.dispose](): void {
    this.progress?.stop();
  }
}
