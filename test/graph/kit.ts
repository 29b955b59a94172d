/**
 * @file The kit of the graph tests: run a graph on the CPU, compare arrays, check an operator and its gradient.
 *
 * How a gradient is checked: onnxruntime computes in float32, where a finite difference is accurate to three digits at
 * best, not enough to find a wrong term. The check therefore has two parts. Both use `reference.ts`, which evaluates
 * any graph, also a gradient graph, in float64 and shares no code with the operators:
 *
 * 1. **Is the gradient rule right?** The gradient graph in float64 is compared with central differences of the loss,
 * also    in float64, for every element of every input. Two step sizes are combined (Richardson), so that the error
 * falls with    the fourth power of the step: about 10⁻¹² for 2⁻¹², like the rounding error. Constants such as 1/width
 * are stored as    float32 in a graph (relative error 6·10⁻⁸), so the tolerance is 2·10⁻⁷.
 * 2. **Does onnxruntime compute what the rules say?** Outputs and gradients in float32 are compared with the same in
 * float64, for inputs that are exact in float32. The tolerance is 4·10⁻⁶ (about 30 roundings) of the largest element,
 * because sums cancel, plus 2·10⁻⁷, because onnxruntime's sigmoid has this absolute accuracy.
 */

import { Tensor as OrtTensor } from "onnxruntime-node";
import {
  add,
  type DType,
  exportOnnx,
  Graph,
  gradients,
  type Initializer,
  multiply,
  sum,
  type Tensor,
} from "../../src/graph/index.ts";
import { Random } from "../../src/random.ts";
import { Session, type Value } from "../../src/runtime/session.ts";
import { array, evaluate64, type NdArray, sizeOf } from "./reference.ts";

export { array, evaluate64, type NdArray } from "./reference.ts";

/** A rounding to float32 is 6·10⁻⁸; sums of a few dozen terms stay well below this value. */
const ROUNDING = 4e-6;
const GRADIENT_RULE = 2e-7;
const STEP = 2 ** -12;

/** Runs `outputs` on the CPU. A feed has the type of the input or parameter with its name. */
export async function evaluate<K extends string>(
  outputs: Readonly<Record<K, Tensor>>,
  feeds: Readonly<Record<string, NdArray>> = {},
  weights?: ReadonlyMap<string, Initializer>,
): Promise<Record<K, NdArray>> {
  const [{ graph }] = Object.values(outputs) as [Tensor];
  const session = await Session.create(exportOnnx(outputs, { weights }), { threads: 1 });
  try {
    const values: Record<string, Value> = {};
    for (const name of session.inputNames) {
      const declared = graph.inputs.get(name) ?? graph.parameters.get(name)!;
      if (!feeds[name]) throw new Error(`evaluate: expected a value for ${name}`);
      values[name] = value(feeds[name], declared.dtype);
    }
    const made = await session.run(values);
    const arrays = Object.entries(made).map(([name, { dims, data }]) => [
      name,
      array(dims, Array.from(data as Iterable<number | bigint>, Number)),
    ]);
    return Object.fromEntries(arrays) as Record<K, NdArray>;
  } finally {
    await session.release();
  }
}

function value({ shape, data }: NdArray, dtype: DType): Value {
  if (dtype === "int64") return new OrtTensor("int64", BigInt64Array.from(data, BigInt), shape);
  if (dtype === "bool" || dtype === "uint8") return new OrtTensor(dtype, Uint8Array.from(data), shape);
  if (dtype === "float32") return new OrtTensor(dtype, Float32Array.from(data), shape);
  throw new Error(`evaluate: no ${dtype} inputs here`);
}

export interface Tolerance {
  /** Relative to the largest expected element. */
  readonly relative?: number;
  readonly absolute?: number;
  /** Prefix of the message. */
  readonly what?: string;
}

/** @throws Error naming the worst element, if shapes differ or an element exceeds the tolerance. */
export function expectClose(
  actual: NdArray,
  expected: NdArray,
  { relative = ROUNDING, absolute = 1e-9, what = "array" }: Tolerance = {},
): void {
  if (String(actual.shape) !== String(expected.shape) || actual.shape.length !== expected.shape.length)
    throw new Error(`${what}: expected shape [${expected.shape}], got [${actual.shape}]`);
  const largest = expected.data.reduce((top, each) => Math.max(top, Math.abs(each)), 0);
  const allowed = absolute + relative * largest;
  let wrong = 0;
  let worst = 0;
  const off = (i: number) => Math.abs(actual.data[i]! - expected.data[i]!);
  for (let i = 0; i < expected.data.length; i++) {
    if (off(i) <= allowed || actual.data[i] === expected.data[i]) continue; // A NaN is never close.
    wrong++;
    if (!(off(i) <= off(worst))) worst = i;
  }
  if (wrong === 0) return;
  throw new Error(
    `${what}[${indexOf(worst, expected.shape)}]: expected ${expected.data[worst]}, got ${actual.data[worst]} ` +
      `(off by ${off(worst).toExponential(1)}, allowed ${allowed.toExponential(1)}; ` +
      `${wrong} of ${expected.data.length} elements are wrong)`,
  );
}

function indexOf(position: number, shape: readonly number[]): string {
  const index: number[] = [];
  let rest = position;
  for (const size of shape.toReversed()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return index.join(", ");
}

/** An input of `checkGradient`. A plain shape means random float32 values in [−1, 1). */
export interface Leaf {
  readonly shape: readonly number[];
  /** Random values are sampled from [low, high). */
  readonly range?: readonly [number, number];
  /** Given values instead of random ones. */
  readonly values?: readonly number[];
  readonly dtype?: DType;
  /** Not a variable: no gradient is computed for it. Defaults to true for all types except float32. */
  readonly fixed?: boolean;
}

export const ids = (shape: readonly number[], values: readonly number[]): Leaf => ({
  shape,
  values,
  dtype: "int64",
});

/** Values of each leaf, sampled by name from `seed`; all exact in float32. */
function draw(leaves: Readonly<Record<string, Leaf>>, seed: number): Record<string, NdArray> {
  return Object.fromEntries(
    Object.entries(leaves).map(([name, { shape, values, range: [low, high] = [-1, 1] }]) => {
      const stream = Random.of(seed, name);
      const random = () => Array.from({ length: sizeOf(shape) }, () => stream.uniform(low, high));
      return [name, array(shape, (values ?? random()).map(Math.fround))];
    }),
  );
}

export const random = (shape: readonly number[], seed = 1, range?: readonly [number, number]): NdArray =>
  draw({ random: { shape, range } }, seed).random!;

/**
 * Checks the outputs of `build` and their gradients (see the head of this file).
 *
 * @example await checkGradient(({ x, w }) => matmul(x, w), { x: [2, 3], w: [3, 4] });
 */
export async function checkGradient<K extends string>(
  build: (leaves: Record<K, Tensor>, graph: Graph) => Tensor | readonly Tensor[],
  leaves: Readonly<Record<K, Leaf | readonly number[]>>,
  { seed = 1 }: { readonly seed?: number } = {},
): Promise<void> {
  const graph = new Graph();
  const given = Object.fromEntries(
    Object.entries<Leaf | readonly number[]>(leaves).map(([name, leaf]) => [
      name,
      "shape" in leaf ? leaf : { shape: leaf },
    ]),
  );
  const tensors = Object.fromEntries(
    Object.entries(given).map(([name, { dtype = "float32", shape }]) => [
      name,
      graph.input(name, dtype, shape),
    ]),
  ) as Record<K, Tensor>;
  const outputs = [build(tensors, graph)].flat();
  const weighed = outputs.map((output, i) =>
    multiply(output, graph.input(`upstream${i}`, "float32", output.shape)),
  );
  const loss = total(weighed);
  const names = Object.keys(given).filter(
    (name) => !(given[name]!.fixed ?? (given[name]!.dtype ?? "float32") !== "float32"),
  ) as K[];
  const slopes = gradients(
    loss,
    names.map((name) => tensors[name]),
  );

  const upstream = outputs.map((output, i) => [`upstream${i}`, { shape: output.shape as number[] }]);
  const feeds = draw({ ...given, ...Object.fromEntries(upstream) }, seed);
  const described = Object.fromEntries([
    ...outputs.map((output, i) => [`output ${i}`, output] as const),
    ...slopes.map((slope, i) => [`gradient of ${names[i]}`, slope] as const),
  ]);
  const exact = evaluate64(Object.values(described), feeds);
  const rule = exact.slice(outputs.length);
  for (const [i, name] of names.entries())
    expectClose(rule[i]!, differences(loss, name, feeds), {
      relative: GRADIENT_RULE,
      absolute: GRADIENT_RULE,
      what: `gradient of ${name} (against finite differences) `,
    });
  const computed = await evaluate(described, feeds);
  for (const [i, what] of Object.keys(described).entries())
    expectClose(computed[what]!, exact[i]!, {
      absolute: 2e-7,
      what: `${what} (onnxruntime against float64) `,
    });
}

/** The sum of all elements of all tensors, as a scalar. */
export function total(tensors: readonly Tensor[]): Tensor {
  const sums = tensors.map((tensor) => sum(tensor, undefined, { keep: false }));
  return sums.reduce((a, b) => add(a, b));
}

/** d(loss)/d(input `name`), element by element: (4 D(h/2) − D(h)) / 3 with central differences D. */
export function differences(loss: Tensor, name: string, feeds: Readonly<Record<string, NdArray>>): NdArray {
  const { shape, data } = feeds[name]!;
  const moved = data.slice();
  const lossAt = () => evaluate64([loss], { ...feeds, [name]: { shape, data: moved } })[0]!.data[0]!;
  const slope = (i: number, step: number) => {
    moved[i] = data[i]! + step;
    const above = lossAt();
    moved[i] = data[i]! - step;
    const below = lossAt();
    moved[i] = data[i]!;
    return (above - below) / (2 * step);
  };
  return array(
    shape,
    Array.from(data, (_, i) => (4 * slope(i, STEP / 2) - slope(i, STEP)) / 3),
  );
}
