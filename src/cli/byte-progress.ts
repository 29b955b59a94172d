/** @file Progress of work on the bytes of large models. */
import { Progress } from "../progress.ts";
import { say } from "./output.ts";

const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

/** One bar for each phase of the work, one after another. */
export class ByteProgress {
  private shown: { readonly phase: string; readonly progress: Progress } | undefined;

  /** @param least bytes below which nothing is shown */
  constructor(private readonly least = 0) {}

  readonly update = (phase: string, done: number, total: number): void => {
    if (total < this.least) return;
    if (this.shown?.phase === phase) {
      this.shown.progress.update(mebibytes(done));
      return;
    }
    this.stop();
    const [start, all] = [mebibytes(done), mebibytes(total)];
    this.shown = { phase, progress: new Progress({ label: phase, total: all, start, unit: "MiB" }) };
  };

  /** A line beside the bar. */
  readonly note = (line: string): void => (this.shown ? this.shown.progress.note(line) : say(line));

  stop(): void {
    this.shown?.progress.stop();
  }
}

/** Weights below this size are written before anybody wonders. */
export const LARGE = 256 * 2 ** 20;
