/** @file Synthetic text embeddings of length 1, in clusters, as similar instructions have. */

/** Vectors per chunk. */
export const PIECE = 10_000;
/** Average number of vectors per cluster. */
const CLUSTER = 100;
/** Length of a vector's offset from its cluster's centre, relative to that of the centre. */
const SPREAD = 0.7;

export class Vectors {
  constructor(
    readonly count: number,
    readonly width: number,
    private readonly queryCount: number,
  ) {}

  /** Vectors `from` to `from + PIECE`, deterministic. */
  piece(from: number): Float32Array[] {
    const length = Math.min(PIECE, this.count - from);
    return Array.from({ length }, (_, i) => this.vector(from + i));
  }

  /** Other vectors of the same clusters. */
  queries(): Float32Array[] {
    return Array.from({ length: this.queryCount }, (_, i) => this.vector(this.count + i));
  }

  private vector(index: number): Float32Array {
    const own = new Numbers(index + 1);
    const cluster = Math.floor(own.uniform() * Math.ceil(this.count / CLUSTER));
    const centre = new Numbers(-cluster - 1);
    const vector = new Float32Array(this.width);
    for (let i = 0; i < vector.length; i++) vector[i] = centre.normal() + SPREAD * own.normal();
    const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
    return vector.map((x) => x / length);
  }
}

/** Fast random numbers (splitmix32), because half a billion are needed. */
class Numbers {
  constructor(private state: number) {
    this.state = Math.imul(state, 0x9e3779b9) ^ 0x5bd1e995;
  }

  uniform(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let z = this.state ^ (this.state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  }

  /** Approximately normal with variance 1: the sum of three uniform numbers. */
  normal(): number {
    return 2 * (this.uniform() + this.uniform() + this.uniform() - 1.5);
  }
}
