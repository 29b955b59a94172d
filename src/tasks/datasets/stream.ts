/** @file A stream of records that can start at any position of their order. */
import { z } from "zod";
import type { XPromptError } from "../../errors.ts";
import type { LoadedPair } from "./record.ts";

/** The position of a stream as JSON, from which it can resume. */
export const positionSchema = z.strictObject({
  /** Identifies the set and its settings; a position is valid for these only. */
  set: z.string(),
  /** The next position in the order. */
  next: z.int().min(0),
});
export type Position = z.infer<typeof positionSchema>;

/** How a stream advances. */
interface StreamSteps {
  /** Positions from one record to the next. */
  readonly step: number;
  /** The end position, exclusive. */
  readonly end: number;
  /** Positions in one pass over the set. */
  readonly length: number;
  readonly read: (place: number) => Promise<LoadedPair | undefined>;
  /** Asked after every pass without a usable record, and at the end. */
  readonly isHopeless: () => boolean;
  readonly fail: () => XPromptError;
}

/** A stream of records. `position` is the one after the last returned record. */
export class PairStream implements AsyncIterableIterator<LoadedPair> {
  constructor(
    private at: Position,
    private readonly steps: StreamSteps,
  ) {}

  get position(): Position {
    return { ...this.at };
  }

  async next(): Promise<IteratorResult<LoadedPair, undefined>> {
    const { step, end, length, read, isHopeless, fail } = this.steps;
    for (let passed = 0; this.at.next < end; passed += step) {
      if (passed >= length) {
        if (isHopeless()) throw fail();
        passed -= length;
      }
      const pair = await read(this.at.next);
      this.at = { ...this.at, next: this.at.next + step };
      if (pair) return { value: pair, done: false };
    }
    if (end > 0 && isHopeless()) throw fail();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
