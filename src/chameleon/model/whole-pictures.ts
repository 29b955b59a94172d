/**
 * @file Given pictures may have bidirectional attention: all of their tokens see each other, as in a prefix language
 * model. Generated tokens stay causal.
 */
import type { PictureBounds } from "../checkpoint/config.ts";

/** Span of a picture in a token sequence, begin and end tokens included. */
export interface PictureSpan {
  readonly first: number;
  readonly last: number;
}

/** The complete pictures in a token sequence. */
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
