/** @file A context: examples, and the TODO parts that share them. */

/** A context with pictures of type `P`. `null` is the empty example. */
export interface Context<P> {
  readonly examples: readonly (ExamplePair<P> | null)[];
  readonly todos: readonly TodoPart<P>[];
}

interface ExamplePair<P> {
  readonly input: P;
  readonly output: P;
  readonly instruction: readonly number[];
  /** The part of both pictures that is shown. */
  readonly window?: Window;
}

export interface TodoPart<P> {
  readonly input?: P;
  readonly instruction: readonly number[];
  readonly window?: Window;
  /** `read` is the model's input at the places of the picture, if it differs from `picture`. */
  readonly target: { readonly picture: P; readonly read?: P } | { readonly words: readonly number[] };
}

/** `side` × `side` codes of a picture of `grid` × `grid`. */
export interface Window {
  readonly row: number;
  readonly column: number;
  readonly side: number;
  readonly grid: number;
}
