/**
 * @file Attention heads that start by looking at a fixed distance.
 *
 * A code of a generated picture depends most on a few others: the same cell of the picture before, and the codes to the
 * left and above. Heads with random weights find them late among hundreds of rows, and later in larger pictures. In
 * Chameleon, the normalization of queries and keys has a bias per head. Here all keys of such a head start with the same
 * bias, and its queries with this bias rotated back by the distance; what the tokens are counts for little at first.
 * Training may change all of this. The model stays an ordinary one.
 */
import type { DecoderConfig } from "../../chameleon/checkpoint/config.ts";
import { headWidth } from "../../chameleon/model/transformer.ts";
import type { TrainingState } from "../run/state.ts";

/** Size of the constant part in each pair of channels. */
const STRENGTH = 2.2;
/** Gain of the content; 1 or more in other heads. */
const CONTENT = 0.25;

/**
 * Distances back from the row that predicts a code, for the heads of the first two layers.
 * @param grid codes per side
 */
export function alignedDistances(grid: number): readonly (readonly number[])[] {
  const picture = grid * grid + 2;
  /** The cell of the next code in the picture before, and the cell of the row's own code. */
  const [next, own] = [picture - 1, picture];
  const above = grid - 1;
  return [
    [next, own, above, 1],
    // The cells to the right of it and below it.
    [next, own, next - 1, next - grid],
  ];
}

/** Points the first heads of the first layers at fixed distances. */
export function alignHeads(state: TrainingState, config: DecoderConfig, grid: number): void {
  const width = headWidth(config);
  const { theta, factor = 1 } = config.rope;
  for (const [layer, distances] of alignedDistances(grid).slice(0, config.layers).entries()) {
    const of = (name: string) => state.values(`model.layers.${layer}.self_attn.${name}`);
    for (const [head, distance] of distances.slice(0, config.heads).entries()) {
      for (const name of ["q_norm.weight", "k_norm.weight"])
        of(name).fill(CONTENT, head * width, (head + 1) * width);
      for (let i = 0; i < width / 2; i++) {
        const angle = (-distance / factor) * theta ** ((-2 * i) / width);
        const [first, second] = [head * width + i, head * width + width / 2 + i];
        of("k_norm.bias")[first] = STRENGTH;
        of("q_norm.bias")[first] = STRENGTH * Math.cos(angle);
        of("q_norm.bias")[second] = STRENGTH * Math.sin(angle);
      }
    }
  }
}
