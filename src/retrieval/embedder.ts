/** @file Embeddings: texts and pictures as vectors with cosine similarity. */
import { XPromptError } from "../errors.ts";
import { areFinite } from "../finite.ts";
import type { Picture } from "../image/picture.ts";
import type { Vectors } from "./example.ts";

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

/**
 * Given vectors of a space, scaled to length 1.
 * @throws XPromptError for vectors of another width, or with numbers that are not finite
 */
export function unitVectors({ text, image }: Vectors, space: EmbeddingSpace, doing: string): Vectors {
  const checked = (name: "text" | "image", vector: Float32Array | undefined) => {
    const width = space[`${name}Width`];
    if (vector && (vector.length !== width || !areFinite(vector)))
      throw new XPromptError(
        `${doing}: ${name} vector: expected ${width} finite numbers for ${space.space}, got ${vector.length === width ? "others" : vector.length}`,
      );
    return vector && unit(vector);
  };
  return { text: checked("text", text), image: checked("image", image) };
}
