/** @file Which of some icons does a picture show? */
import { type Image, resize } from "../../image/index.ts";

/** Cells along a side that pictures are compared in: lines that are a little off still meet. */
const CELLS = 16;

/**
 * Finds the candidate that a picture is likest to: by the correlation of what sets it apart from the mean of all
 * candidates. Brightness and contrast are taken out first, so that a soft or pale drawing is judged by its shape.
 */
export class IconJudge {
  private readonly middle: Float32Array;
  private readonly candidates: readonly Float32Array[];

  /** @param candidates at least one */
  constructor(candidates: readonly Image[]) {
    const features = candidates.map(featuresOf);
    this.middle = features[0]!.map(
      (_, i) => features.reduce((sum, each) => sum + each[i]!, 0) / features.length,
    );
    this.candidates = features.map((each) => this.apart(each));
  }

  /** The index of the candidate that is nearest. */
  nearest(image: Image): number {
    const query = this.apart(featuresOf(image));
    const similarities = this.candidates.map((candidate) => dot(query, candidate));
    return similarities.indexOf(Math.max(...similarities));
  }

  /** What sets a picture apart from the mean, of length 1. */
  private apart(features: Float32Array): Float32Array {
    return toUnit(features.map((value, i) => value - this.middle[i]!));
  }
}

/** Cells of the picture, of mean 0 in each channel and of length 1 together. */
function featuresOf(image: Image): Float32Array {
  const { data } = resize(image, CELLS, CELLS, "area");
  const means = [0, 0, 0];
  for (const [i, value] of data.entries()) means[i % 3]! += value / (CELLS * CELLS);
  return toUnit(data.map((value, i) => value - means[i % 3]!));
}

function toUnit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector));
  return length > 0 ? vector.map((value) => value / length) : vector;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
