/**
 * @file The expected picture: at each place the mean of the codebook vectors under the model's distribution, with the
 * sampled codes as context. It minimizes the expected squared error; the error of a single sample is twice as large. It
 * needs no further forward pass.
 */

/** Codes with less than this share of the highest probability are left out of the mean. */
const NEGLIGIBLE = 1e-4;

export class ExpectedVectors {
  /** The mean vectors so far, `[places, width]`. */
  readonly vectors: Float32Array;
  private readonly width: number;

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
  }

  /** Computes the mean vector of one place from the logits of all codes. */
  set(place: number, logits: Float32Array): void {
    const { width, codebook } = this;
    const mean = new Float64Array(width);
    let best = Number.NEGATIVE_INFINITY;
    for (let code = 0; code < logits.length; code++) best = Math.max(best, logits[code]!);
    let total = 0;
    for (let code = 0; code < logits.length; code++) {
      const weight = Math.exp(logits[code]! - best);
      if (weight < NEGLIGIBLE) continue;
      total += weight;
      const start = code * width;
      for (let i = 0; i < width; i++) mean[i]! += weight * codebook[start + i]!;
    }
    this.vectors.set(
      mean.map((value) => value / total),
      place * width,
    );
  }
}
