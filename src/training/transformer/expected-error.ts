/**
 * @file The error of the expected picture: at each place the squared distance between the mean codebook vector under the
 * model's distribution and the true code's vector. It is what a picture drawn with `expected` is measured by.
 * Cross-entropy treats all wrong codes alike; this tells a slightly wrong colour from a very wrong one. The true
 * distribution minimizes both.
 */
import type { Vocabulary } from "../../chameleon/tokenizers/vocabulary.ts";
import { embedding, matmul, multiply, softmax, subtract, sum, type Tensor } from "../../graph/index.ts";
import type { Codebook } from "./code-features.ts";

/** Vectors of all tokens, `[vocabulary, width]`. */
export interface TokenVectors {
  readonly data: Float32Array;
  readonly width: number;
}

/**
 * The codebook with mean 0 and a mean squared length of 1, as rows of the vocabulary. Tokens of text are zero. An error
 * of 1 is thus that of the mean code.
 */
export function tokenVectors({ data, shape }: Codebook, { imageTokens, size }: Vocabulary): TokenVectors {
  const [codes, width] = shape as readonly [number, number];
  const means = new Float64Array(width);
  for (const [i, value] of data.entries()) means[i % width]! += value / codes;
  let variance = 0;
  for (const [i, value] of data.entries()) variance += (value - means[i % width]!) ** 2 / codes;
  const scale = 1 / (Math.sqrt(variance) || 1);
  const vectors = new Float32Array(size * width);
  for (let code = 0; code < codes; code++)
    for (let i = 0; i < width; i++)
      vectors[imageTokens[code]! * width + i] = (data[code * width + i]! - means[i]!) * scale;
  return { data: vectors, width };
}

/** |Σ p(token) · vector(token) − vector(target)|² of each row, `[rows]`, for logits `[rows, vocabulary]`. */
export function expectedError(logits: Tensor, targets: Tensor, { data, width }: TokenVectors): Tensor {
  const vectors = logits.graph.constant(data, [logits.shape[1]!, width]);
  const off = subtract(matmul(softmax(logits), vectors), embedding(targets, vectors));
  return sum(multiply(off, off), 1, { keep: false });
}
