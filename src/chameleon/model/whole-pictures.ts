/**
 * @file Pictures that are only read may be seen both ways: all of their tokens see each other, as in a prefix language
 * model. What is generated stays causal.
 */
import type { PictureBounds } from "../checkpoint/config.ts";

/** A picture among tokens, from its begin to its end token, both included. */
export interface PictureSpan {
  readonly first: number;
  readonly last: number;
}

/** The pictures among tokens that are there from begin to end; one that is yet to be written is none. */
export function pictureSpans(tokens: readonly number[], { begin, end }: PictureBounds): PictureSpan[] {
  const spans: PictureSpan[] = [];
  let first = -1;
  for (const [i, token] of tokens.entries()) {
    if (token === begin) first = i;
    if (token === end && first >= 0) {
      spans.push({ first, last: i });
      first = -1;
    }
  }
  return spans;
}
