/** @file What distances are measured between: texts and pictures as vectors of one space. */
import type { Picture } from "../image/picture.ts";

/** What vectors are of. Those of different spaces are never compared. */
export interface Space {
  /** Names the space: letters, digits, points and hyphens. Other weights have another name. */
  readonly space: string;
  /** Length of a text's vector. */
  readonly textWidth: number;
  /** Length of a picture's vector. */
  readonly imageWidth: number;
}

/** Makes vectors. */
export interface Features extends Space {
  /** The vector of an instruction `[textWidth]`, of length 1. */
  text(instruction: string): Promise<Float32Array>;
  /** The vector of a picture `[imageWidth]`, of length 1. @throws XPromptError for one that can not be read */
  image(picture: Picture): Promise<Float32Array>;
}

/** The vector at length 1; one without length stays as it is. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return length > 0 ? vector.map((x) => x / length) : vector;
}

/** Σ aᵢ bᵢ: of vectors of length 1, the cosine of the angle between them. */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
