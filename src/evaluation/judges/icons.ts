/** @file Finds which of several icons a picture shows. */
import { type Image, resize } from "../../image/index.ts";
import { dot } from "../../numbers.ts";
import { unit } from "../../retrieval/embedder.ts";

/** Pictures are compared at this size, so that slightly shifted lines still overlap. */
const CELLS = 16;

/**
 * Finds the candidate with the highest correlation to a picture, after subtracting the mean of all candidates. Brightness
 * and contrast are normalized first, so that a blurred or pale picture is judged by its shape.
 */
export class IconJudge {
  private readonly mean: Float32Array;
  private readonly candidates: readonly Float32Array[];

  /** @param candidates at least one */
  constructor(candidates: readonly Image[]) {
    const features = candidates.map(featuresOf);
    this.mean = features[0]!.map(
      (_, i) => features.reduce((sum, each) => sum + each[i]!, 0) / features.length,
    );
    this.candidates = features.map((each) => this.centered(each));
  }

  /** The index of the most similar candidate. */
  nearest(image: Image): number {
    const query = this.centered(featuresOf(image));
    const similarities = this.candidates.map((candidate) => dot(query, candidate));
    return similarities.indexOf(Math.max(...similarities));
  }

  /** The difference to the mean, scaled to length 1. */
  private centered(features: Float32Array): Float32Array {
    return unit(features.map((value, i) => value - this.mean[i]!));
  }
}

/** The picture at `CELLS` × `CELLS` pixels, with mean 0 per channel and total length 1. */
function featuresOf(image: Image): Float32Array {
  const { data } = resize(image, CELLS, CELLS, "area");
  const means = [0, 0, 0];
  for (const [i, value] of data.entries()) means[i % 3]! += value / (CELLS * CELLS);
  return unit(data.map((value, i) => value - means[i % 3]!));
}
