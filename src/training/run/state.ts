/** @file The mutable state of training: weights, optimizer moments, and the number of steps done. */
import { createHash } from "node:crypto";
import type { Weight } from "../../chameleon/checkpoint/folder.ts";
import { product } from "../../numbers.ts";
import type { Random } from "../../random.ts";
import { float32, type Value } from "../../runtime/session.ts";
import {
  bufferName,
  type OptimizerSettings,
  optimizerSchema,
  type Role,
  rolesOf,
} from "../optimizer/optimizer.ts";

export interface Buffer {
  readonly shape: readonly number[];
  /** Input of the next step. */
  data: Float32Array;
  /** Output of the next step. The two are swapped afterwards. */
  spare: Float32Array;
}

/** Weights that training does not change: the base model of an adapter, or a codebook of patches. */
export interface Frozen {
  readonly weights: ReadonlyMap<string, Weight>;
  /** Identifies the weights of another model: a run resumes only with the same ones. Those that it made have none. */
  readonly checksum?: string;
}

export class TrainingState {
  /** Steps done so far. */
  step = 0;
  /** Buffers by name: weights under their own name, moments under `mean of …` and `variance of …`. */
  readonly buffers = new Map<string, Buffer>();

  constructor(
    /** Shapes of the trained parameters, by name. */
    readonly parameters: ReadonlyMap<string, readonly number[]>,
    readonly frozen?: Frozen,
    /** Determines which moments exist. */
    optimizer: Pick<OptimizerSettings, "matrices"> = optimizerSchema.parse({}),
  ) {
    for (const [name, shape] of parameters) {
      const size = product(shape);
      for (const role of rolesOf(optimizer, name))
        this.buffers.set(bufferName(role, name), {
          shape,
          data: new Float32Array(size),
          spare: new Float32Array(size),
        });
    }
  }

  /** Number of trained weights. */
  get size(): number {
    return [...this.parameters.keys()].reduce((sum, name) => sum + this.values(name).length, 0);
  }

  /** Bytes of all buffers, including the spare ones, and of the frozen weights. */
  get bytes(): number {
    const buffers = [...this.buffers.values()].flatMap(({ data, spare }) => [data, spare]);
    const frozen = [...(this.frozen?.weights.values() ?? [])].map(({ data }) => data);
    return [...buffers, ...frozen].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** The current values of a parameter or of one of its moments. Writing to the array changes them. */
  values(parameter: string, role: Role = "parameter"): Float32Array {
    const buffer = this.buffers.get(bufferName(role, parameter));
    if (!buffer) throw new RangeError(`no parameter ${parameter}`);
    return buffer.data;
  }

  /** The trained weights. */
  weights(): Map<string, Weight> {
    const weight = (name: string, shape: readonly number[]): Weight => ({
      dtype: "float32",
      shape,
      data: this.values(name),
    });
    return new Map([...this.parameters].map(([name, shape]) => [name, weight(name, shape)]));
  }

  /** Trained and frozen weights as feeds of a session, without a copy. */
  feeds(): Record<string, Value> {
    return feedsOfWeights([...(this.frozen?.weights ?? []), ...this.weights()]);
  }

  /** SHA-256 over the names, shapes and bits of all trained weights. */
  digest(): string {
    const hash = createHash("sha256");
    for (const name of [...this.parameters.keys()].sort()) {
      const data = this.values(name);
      hash.update(`${name} [${this.parameters.get(name)}]\n`);
      hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    return hash.digest("hex");
  }
}

/** Weights as feeds of a session, without a copy. */
export const feedsOfWeights = (weights: Iterable<readonly [string, Weight]>): Record<string, Value> =>
  Object.fromEntries([...weights].map(([name, { data, shape }]) => [name, float32(data, shape)]));

/** Initial values of a weight: normal with mean 0, or constant. */
export type Initializer = { readonly deviation: number } | { readonly constant: number };

/**
 * Initializes the weights.
 * @param random the random stream of each weight, by name
 */
export function initialize(
  state: TrainingState,
  random: (name: string) => Random,
  initializerFor: (name: string, shape: readonly number[]) => Initializer,
): void {
  for (const [name, shape] of state.parameters) {
    const values = state.values(name);
    const initializer = initializerFor(name, shape);
    if ("constant" in initializer) values.fill(initializer.constant);
    else {
      const source = random(name);
      for (let i = 0; i < values.length; i++) values[i] = source.normal(0, initializer.deviation);
    }
  }
}
