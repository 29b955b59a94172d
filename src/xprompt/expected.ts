/**
 * @file The expected picture: at each place the mean of the codebook vectors under the model's distribution, with the
 * sampled codes as context. It minimizes the expected squared error; the error of a single sample is twice as large. It
 * needs no further forward pass.
 */
import type { Tokenizer } from "../chameleon/tokenizers/tokenizer.ts";

/** Places whose logits are averaged in one run. It bounds the memory of logits that wait. */
const PLACES_PER_RUN = 64;

/** The mean vectors of one picture. They are computed while later codes are sampled. */
export class ExpectedVectors {
  private waiting: Float32Array[] = [];
  private readonly runs: Promise<Float32Array>[] = [];

  constructor(private readonly tokenizer: Pick<Tokenizer, "meanVectors">) {}

  /** Adds the next place, with the logits of all codes. They must not change afterwards. */
  add(logits: Float32Array): void {
    this.waiting.push(logits);
    if (this.waiting.length === PLACES_PER_RUN) this.start();
  }

  /** The mean vectors of all places added, `[places, width]`. */
  async vectors(): Promise<Float32Array> {
    if (this.waiting.length > 0) this.start();
    const parts = await Promise.all(this.runs);
    const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  private start(): void {
    const run = this.tokenizer.meanVectors(this.waiting);
    run.catch(() => {}); // `vectors` reports it, unless the request ends before
    this.runs.push(run);
    this.waiting = [];
  }
}
