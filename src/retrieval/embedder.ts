/** @file Embeddings: texts and pictures as vectors with cosine similarity. */
import type { Picture } from "../image/picture.ts";

/** An embedding space. Vectors of different spaces are never compared. */
export interface EmbeddingSpace {
  /** Name of the space: letters, digits, points and hyphens. Other weights need another name. */
  readonly space: string;
  /** Length of a text's vector. */
  readonly textWidth: number;
  /** Length of a picture's vector. */
  readonly imageWidth: number;
}

/** Embeds texts and pictures. */
export interface Embedder extends EmbeddingSpace {
  /** The vector of an instruction `[textWidth]`, of length 1. */
  text(instruction: string): Promise<Float32Array>;
  /** The vector of a picture `[imageWidth]`, of length 1. @throws XPromptError when it cannot be read */
  image(picture: Picture): Promise<Float32Array>;
}

/** The vector scaled to length 1; a zero vector stays as it is. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return length > 0 ? vector.map((x) => x / length) : vector;
}

/** Σ aᵢ bᵢ: for vectors of length 1, the cosine of their angle. */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
