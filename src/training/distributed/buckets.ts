/**
 * @file Gradients side by side in a few large arrays: a run writes each into its place, whole arrays are exchanged, and
 * the next run reads them where they are. Nothing is copied.
 */
import { product } from "../../numbers.ts";
import { float32, type Value } from "../../runtime/session.ts";
import { gradientName } from "../run/step.ts";

/** Large enough for the full speed of a network; a larger gradient has a bucket of its own. */
const BUCKET_VALUES = 2 ** 24;

export class GradientBuckets {
  readonly arrays: readonly Float32Array[];
  /** Gradients by the name of their output. */
  readonly values: Readonly<Record<string, Value>>;
  /** Weighted loss and weight, which are summed like the gradients: the end of the last bucket. */
  readonly sums: Float32Array;

  /** @param shapes of the trained parameters, by name */
  constructor(shapes: ReadonlyMap<string, readonly number[]>) {
    const sizes = [...shapes.values()].map((shape) => product(shape));
    const places: { bucket: number; start: number }[] = [];
    const lengths = [0];
    for (const size of [...sizes, 2]) {
      if (lengths.at(-1)! > 0 && lengths.at(-1)! + size > BUCKET_VALUES) lengths.push(0);
      const bucket = lengths.length - 1;
      places.push({ bucket, start: lengths[bucket]! });
      lengths[bucket]! += size;
    }
    this.arrays = lengths.map((length) => new Float32Array(length));
    const view = (i: number, size: number) => {
      const { bucket, start } = places[i]!;
      return this.arrays[bucket]!.subarray(start, start + size);
    };
    const named = [...shapes].map(([name, shape], i) => [
      gradientName(name),
      float32(view(i, sizes[i]!), shape),
    ]);
    this.values = Object.fromEntries(named);
    this.sums = view(sizes.length, 2);
  }

  get bytes(): number {
    return this.arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }
}
