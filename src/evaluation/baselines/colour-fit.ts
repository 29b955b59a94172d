/**
 * @file The colour fit: twelve numbers that map the colours of the examples' inputs to those of their outputs, by least
 * squares. It uses neither shapes nor neighbouring pixels. A change that it explains needs no image model.
 */
import { createImage, type Image } from "../../image/index.ts";
import { solve } from "../../image/solve.ts";
import { clamp } from "../../numbers.ts";

/** Rows for 1, r, g and b; columns for the new r, g and b. */
export type ColourMap = readonly (readonly number[])[];

export interface ColourPair {
  readonly input: Image;
  readonly output: Image;
}

/** Weight of the distance to the identity, against the sum over all pixels. */
const RIDGE = 0.5;

const identity: ColourMap = [
  [0, 0, 0],
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];

/**
 * Ridge regression towards the identity: finds the A [4, 3] that minimizes Σ ‖[1, r, g, b] A − rgb′‖² + 0.5 ‖A − I‖²
 * over all pixels of all pairs, by solving (XᵀX + 0.5) A = XᵀY + 0.5 I.
 */
export function fitColours(pairs: readonly ColourPair[]): ColourMap {
  const gram = identity.map((_, i) => identity.map((_, j) => (i === j ? RIDGE : 0)));
  const target = identity.map((row) => row.map((value) => RIDGE * value));
  const x = [1, 0, 0, 0];
  for (const { input, output } of pairs)
    for (let at = 0; at < input.data.length; at += 3) {
      for (let c = 0; c < 3; c++) x[c + 1] = input.data[at + c]!;
      for (let i = 0; i < 4; i++) {
        for (let j = 0; j < 4; j++) gram[i]![j]! += x[i]! * x[j]!;
        for (let c = 0; c < 3; c++) target[i]![c]! += x[i]! * output.data[at + c]!;
      }
    }
  return solve(gram, target);
}

/** Maps the colours of a picture and clamps them to [0, 1]. */
export function mapColours(map: ColourMap, image: Image): Image {
  const { width, height, data } = image;
  const mapped = createImage(width, height);
  const channels = [0, 1, 2].map((c) => map.map((row) => row[c]!) as [number, number, number, number]);
  for (let at = 0; at < data.length; at += 3)
    for (let c = 0; c < 3; c++) {
      const [one, r, g, b] = channels[c]!;
      const value = one + r * data[at]! + g * data[at + 1]! + b * data[at + 2]!;
      mapped.data[at + c] = clamp(value);
    }
  return mapped;
}

/** Applies the colour fit of the examples to the query. */
export const colourFit = (examples: readonly ColourPair[], query: Image): Image =>
  mapColours(fitColours(examples), query);
