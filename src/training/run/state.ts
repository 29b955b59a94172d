/** @file What training changes: weights, the optimizer's moments, and the number of steps done. */
import { createHash } from "node:crypto";
import type { Weight } from "../../chameleon/checkpoint/folder.ts";
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
  /** What the next step reads. */
  data: Float32Array;
  /** Where the next step writes; the two then change places. */
  spare: Float32Array;
}

/** Weights that training reads and never changes: the model that an adapter is trained on. */
export interface Frozen {
  readonly weights: ReadonlyMap<string, Weight>;
  /** Names them: a run is resumed on the very same. */
  readonly checksum: string;
}

export class TrainingState {
  /** Steps done so far. */
  step = 0;
  /** Buffers by name: weights under their own, moments under `mean of …` and `variance of …`. */
  readonly buffers = new Map<string, Buffer>();

  constructor(
    /** Names and shapes of what is trained. */
    readonly parameters: ReadonlyMap<string, readonly number[]>,
    readonly frozen?: Frozen,
    /** What is trained with: it says which moments there are. */
    optimizer: Pick<OptimizerSettings, "matrices"> = optimizerSchema.parse({}),
  ) {
    for (const [name, shape] of parameters) {
      const size = shape.reduce((product, dim) => product * dim, 1);
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

  /** Bytes of all buffers, those that the next step writes included, and of frozen weights. */
  get bytes(): number {
    const buffers = [...this.buffers.values()].flatMap(({ data, spare }) => [data, spare]);
    const frozen = [...(this.frozen?.weights.values() ?? [])].map(({ data }) => data);
    return [...buffers, ...frozen].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** The current values of a parameter or of one of its moments; writing into it changes them. */
  values(parameter: string, role: Role = "parameter"): Float32Array {
    const buffer = this.buffers.get(bufferName(role, parameter));
    if (!buffer) throw new RangeError(`no parameter ${parameter}`);
    return buffer.data;
  }

  /** The trained weights alone. */
  weights(): Map<string, Weight> {
    const weight = (name: string, shape: readonly number[]): Weight => ({
      dtype: "float32",
      shape,
      data: this.values(name),
    });
    return new Map([...this.parameters].map(([name, shape]) => [name, weight(name, shape)]));
  }

  /** The weights as a session takes them, trained and frozen: it reads them where they are. */
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

/** Weights as a session takes them: it reads them where they are. */
export const feedsOfWeights = (weights: Iterable<readonly [string, Weight]>): Record<string, Value> =>
  Object.fromEntries([...weights].map(([name, { data, shape }]) => [name, float32(data, shape)]));

/** What weights begin as: normal numbers around 0, or all the same. */
export type Filling = { readonly deviation: number } | { readonly constant: number };

/** Fills the weights. */
export function initialize(
  state: TrainingState,
  random: (name: string) => Random,
  fillingOf: (name: string, shape: readonly number[]) => Filling,
): void {
  for (const [name, shape] of state.parameters) {
    const values = state.values(name);
    const filling = fillingOf(name, shape);
    if ("constant" in filling) values.fill(filling.constant);
    else {
      const source = random(name);
      for (let i = 0; i < values.length; i++) values[i] = source.normal(0, filling.deviation);
    }
  }
}
