/** @file Records one after the other, from any place of their order. */
import { z } from "zod";
import type { XPromptError } from "../../errors.ts";
import type { LoadedPair } from "./record.ts";

/** Where a stream is: enough to go on from there, as JSON. */
export const positionSchema = z.strictObject({
  /** Tells the set and its settings: a position is of no use with others. */
  set: z.string(),
  /** The next place in the order. */
  next: z.int().min(0),
});
export type Position = z.infer<typeof positionSchema>;

/** How a stream goes on, as its source says. */
interface StreamSteps {
  /** Places from one to the next. */
  readonly step: number;
  /** The place before which it ends. */
  readonly end: number;
  /** Places after which it fails when none had a whole record. */
  readonly length: number;
  readonly read: (place: number) => Promise<LoadedPair | undefined>;
  readonly fail: () => XPromptError;
}

/** Records one after the other. `position` is behind the record that was handed out last. */
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
