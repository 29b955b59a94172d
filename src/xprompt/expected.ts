/**
 * @file The expected picture: at each place the mean of the codebook vectors under the model's distribution, with the
 * sampled codes as context. It minimizes the expected squared error; the error of a single sample is twice as large. It
 * needs no further forward pass.
 */

/** Codes with less than this share of the highest probability are left out of the mean. */
const NEGLIGIBLE = 1e-4;
/** Logits so far below the highest are negligible for certain. */
const FARTHEST = -Math.log(NEGLIGIBLE) + 1e-6;
/** Codes that are added in one pass over the mean, which is twice as fast as one by one. */
const AT_ONCE = 4;

export class ExpectedVectors {
  /** The mean vectors so far, `[places, width]`. */
  readonly vectors: Float32Array;
  private readonly width: number;
  /** Where the vectors of the codes that count begin, and their weights. */
  private readonly starts: Uint32Array;
  private readonly weights: Float64Array;

  /**
   * @param codebook `[codes, width]`
   * @param codes number of codes in the codebook
   * @param places codes per picture
   */
  constructor(
    private readonly codebook: Float32Array,
    codes: number,
    places: number,
  ) {
    this.width = codebook.length / codes;
    this.vectors = new Float32Array(places * this.width);
    this.starts = new Uint32Array(codes + AT_ONCE);
    this.weights = new Float64Array(codes + AT_ONCE);
  }

  /** Computes the mean vector of one place from the logits of all codes. */
  set(place: number, logits: Float32Array): void {
    const { width, codebook, starts, weights } = this;
    let best = Number.NEGATIVE_INFINITY;
    for (let code = 0; code < logits.length; code++) best = Math.max(best, logits[code]!);
    let total = 0;
    let count = 0;
    for (let code = 0; code < logits.length; code++) {
      if (best - logits[code]! > FARTHEST) continue;
      const weight = Math.exp(logits[code]! - best);
      if (weight < NEGLIGIBLE) continue;
      total += weight;
      starts[count] = code * width;
      weights[count++] = weight;
    }
    weights.fill(0, count, count + AT_ONCE);
    const mean = new Float64Array(width);
    for (let k = 0; k < count; k += AT_ONCE) {
      const [a, b, c, d] = [starts[k]!, starts[k + 1]!, starts[k + 2]!, starts[k + 3]!];
      const [p, q, r, s] = [weights[k]!, weights[k + 1]!, weights[k + 2]!, weights[k + 3]!];
      for (let i = 0; i < width; i++)
        mean[i]! += p * codebook[a + i]! + q * codebook[b + i]! + r * codebook[c + i]! + s * codebook[d + i]!;
    }
    const start = place * width;
    for (let i = 0; i < width; i++) this.vectors[start + i] = mean[i]! / total;
  }
}
