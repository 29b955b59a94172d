/**
 * @file The expected picture: at each place the mean of all codes' vectors under the model's distribution there, along
 * the codes that were sampled. Of all pictures it has the least squared error that the model can promise, where a single
 * sample has twice as much; it costs no further run of the model.
 */

/** Codes less likely than this share of the likeliest add nothing. */
const NEGLIGIBLE = 1e-4;

export class ExpectedVectors {
  /** Mean vectors so far, `[places, width]`. */
  readonly vectors: Float32Array;
  private readonly width: number;

  /**
   * @param codebook `[codes, width]`
   * @param codes number of codes
   * @param places codes of a picture
   */
  constructor(
    private readonly codebook: Float32Array,
    codes: number,
    places: number,
  ) {
    this.width = codebook.length / codes;
    this.vectors = new Float32Array(places * this.width);
  }

  /** Sets the mean of a place from the logits of all codes there. */
  set(place: number, logits: Float32Array): void {
    const { width } = this;
    const mean = new Float64Array(width);
    const best = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    let total = 0;
    for (const [code, logit] of logits.entries()) {
      const weight = Math.exp(logit - best);
      if (weight < NEGLIGIBLE) continue;
      total += weight;
      for (let i = 0; i < width; i++) mean[i]! += weight * this.codebook[code * width + i]!;
    }
    this.vectors.set(
      mean.map((value) => value / total),
      place * width,
    );
  }
}
