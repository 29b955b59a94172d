/** @file Made-up features of many texts: of length 1, in clusters, as instructions lie together that ask for the same. */

/** Vectors that are made at once. */
export const PIECE = 10_000;
/** Vectors of a cluster, about. */
const CLUSTER = 100;
/** Length of what sets a vector apart from its cluster's centre, which has length 1. */
const SPREAD = 0.7;

export class Vectors {
  constructor(
    readonly count: number,
    readonly width: number,
    private readonly asked: number,
  ) {}

  /** Vectors `from` to `from + PIECE`, the same at every call. */
  piece(from: number): Float32Array[] {
    const length = Math.min(PIECE, this.count - from);
    return Array.from({ length }, (_, i) => this.vector(from + i));
  }

  /** Others of the same clusters. */
  queries(): Float32Array[] {
    return Array.from({ length: this.asked }, (_, i) => this.vector(this.count + i));
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

/** Quick random numbers (splitmix32): half a billion of them are needed. */
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

  /** About normal: the sum of three uniform numbers, at variance 1. */
  normal(): number {
    return 2 * (this.uniform() + this.uniform() + this.uniform() - 1.5);
  }
}
