/** @file How much each similarity counts in a search. */

/** Weights of the similarities; 0 disables one. */
export interface Weights {
  /** Similarity of instructions: the cosine of their embeddings. */
  readonly text: number;
  /** Similarity of the input pictures: the cosine of their embeddings. */
  readonly image: number;
  /** Common words of the instructions. */
  readonly words: number;
}

/** Instructions decide (paper); among equal ones, the input picture decides. */
export const defaultWeights: Weights = { text: 1, image: 0.1, words: 0 };
