/**
 * @file Deterministic random numbers, addressed by name: `Random.of(seed, "train", step, index)` is the same
 * stream on every machine, in whatever order streams are used. Work that is cut off and resumed needs no saved generator state.
 */
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import { sha256Bytes } from "./hash.ts";

export class Random {
  private spareNormal: number | undefined;

  private constructor(private readonly generator: RandomGenerator) {}

  /** The stream that belongs to `path`: a seed, then any names and numbers that say what it is for. */
  static of(...path: readonly (string | number)[]): Random {
    const { buffer, byteOffset } = sha256Bytes(JSON.stringify(path));
    const digest = new DataView(buffer, byteOffset);
    const state = [0, 4, 8, 12].map((offset) => digest.getInt32(offset, true));
    return new Random(xoroshiro128plusFromState(state));
  }

  /** Uniform in [0, 1), or in [low, high). */
  uniform(low = 0, high = 1): number {
    const high26 = this.generator.next() >>> 6;
    const low27 = this.generator.next() >>> 5;
    const unit = (high26 * 0x8000000 + low27) / 0x20000000000000;
    return low + unit * (high - low);
  }

  /** Uniform integer in [low, high], both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  /** Normal with the given mean and standard deviation (Box–Muller). */
  normal(mean = 0, deviation = 1): number {
    if (this.spareNormal !== undefined) {
      const value = this.spareNormal;
      this.spareNormal = undefined;
      return mean + deviation * value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spareNormal = radius * Math.sin(angle);
    return mean + deviation * radius * Math.cos(angle);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** One of `items`, each as likely, or in proportion to `weights`. */
  pick<T>(items: readonly T[], weights?: readonly number[]): T {
    if (items.length === 0) throw new RangeError("Random.pick: expected at least one item, got none");
    return weights ? pickWeighted(items, weights, this.uniform()) : items[this.integer(0, items.length - 1)]!;
  }

  /** A new array with the items in random order (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  /** Two different ones of `items`, in random order. Reads as many numbers from the stream as `shuffle`. */
  pair<T>(items: readonly T[]): [T, T] {
    if (items.length < 2)
      throw new RangeError(`Random.pair: expected at least two items, got ${items.length}`);
    return this.shuffle(items).slice(0, 2) as [T, T];
  }
}

/** A seed for a request that came without one. */
export const randomSeed = (): number => Math.floor(Math.random() * 2 ** 31);

/** One of `items` in proportion to `weights`, by a number in [0, 1). */
function pickWeighted<T>(items: readonly T[], weights: readonly number[], unit: number): T {
  let rest = unit * weights.reduce((sum, weight) => sum + weight, 0);
  for (let i = 0; i < items.length; i++) {
    rest -= weights[i]!;
    if (rest < 0) return items[i]!;
  }
  return items[items.length - 1]!;
}
