/** @file A stream of records that can start at any place of their order. */
import { z } from "zod";
import type { XPromptError } from "../../errors.ts";
import type { LoadedPair } from "./record.ts";

/** The position of a stream as JSON, from which it can resume. */
export const positionSchema = z.strictObject({
  /** Identifies the set and its settings, for which alone a position is valid. */
  set: z.string(),
  /** The next place in the order. */
  next: z.int().min(0),
});
export type Position = z.infer<typeof positionSchema>;

/** How a stream advances. */
interface StreamSteps {
  /** Places from one record to the next. */
  readonly step: number;
  /** The place at which it ends, exclusive. */
  readonly end: number;
  /** It fails after this many places without a usable record. */
  readonly length: number;
  readonly read: (place: number) => Promise<LoadedPair | undefined>;
  readonly fail: () => XPromptError;
}

/** A stream of records. `position` is the place after the last record that it returned. */
export class PairStream implements AsyncIterableIterator<LoadedPair> {
  constructor(
    private at: Position,
    private readonly steps: StreamSteps,
  ) {}

  get position(): Position {
    return { ...this.at };
  }

  async next(): Promise<IteratorResult<LoadedPair, undefined>> {
    const { step, end, length, read, fail } = this.steps;
    for (let tried = 0; this.at.next < end; tried += step) {
      if (tried >= length + step) throw fail();
      const pair = await read(this.at.next);
      this.at = { ...this.at, next: this.at.next + step };
      if (pair) return { value: pair, done: false };
    }
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
