/** @file How much each similarity counts in a search. */
import { UsageError } from "../errors.ts";
import { checkKeys } from "../runtime/option-names.ts";

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

/** Words alone: such a search needs no embedder. */
export const wordsAlone: Weights = { text: 0, image: 0, words: 1 };

/** @throws UsageError naming a weight that is unknown, missing, negative or not finite */
export function checkWeights(doing: string, weights: Weights): void {
  checkKeys(`${doing}: weights`, weights, { text: true, image: true, words: true });
  for (const name of ["text", "image", "words"] as const)
    if (!(Number.isFinite(weights[name]) && weights[name] >= 0))
      throw new UsageError(`${doing}: weights.${name}: expected a number from 0, got ${weights[name]}`);
}
