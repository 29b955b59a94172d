/**
 * @file The semantics of every operator of src/graph, in float64 and plain loops: a second implementation that shares
 * no code with the first (no ONNX, no onnxruntime, no gradients).
 *
 * Written to be obviously right, not fast. `evaluate64` evaluates the graph that is exported, so it can also evaluate a
 * gradient graph.
 */
import type { Application, Tensor } from "../../src/graph/graph.ts";

/** A rectangular array, last axis fastest. Booleans are 0 and 1; ids are integers. */
export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

/** An array of the given values. */
export function array(shape: readonly number[], values: ArrayLike<number>): NdArray {
  if (values.length !== sizeOf(shape))
    throw new RangeError(`array: expected ${sizeOf(shape)} values for [${shape}], got ${values.length}`);
  return { shape, data: Float64Array.from(values) };
}

type Index = readonly number[];

/** The array whose element at each index is `value(index)`. */
export function tabulate(shape: readonly number[], value: (index: Index) => number): NdArray {
  const data = new Float64Array(sizeOf(shape));
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(index);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return { shape, data };
}

/** The offset of an index. Axes of size 1 and missing leading axes repeat (NumPy's broadcasting). */
function offset({ shape }: NdArray, index: Index): number {
  const skip = index.length - shape.length;
  let at = 0;
  for (let axis = 0; axis < shape.length; axis++)
    at = at * shape[axis]! + (shape[axis] === 1 ? 0 : index[axis + skip]!);
  return at;
}
const at = (x: NdArray, ...index: number[]): number => x.data[offset(x, index)]!;
const pick = (x: NdArray, index: Index): number => x.data[offset(x, index)]!;
const swap = (index: Index, axis: number, value: number): number[] =>
  index.map((each, i) => (i === axis ? value : each));

/** Σ f(i) for i < count. */
function total(count: number, f: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += f(i);
  return sum;
}

function broadcast(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) =>
    Math.max(...shapes.map((shape) => shape[i - rank + shape.length] ?? 1)),
  );
}

type Rule = (inputs: readonly NdArray[], attributes: Record<string, never>, made: Application) => NdArray[];

const one =
  <A>(f: (inputs: readonly NdArray[], attributes: A, made: Application) => NdArray) =>
  (inputs: readonly NdArray[], attributes: A, made: Application) => [f(inputs, attributes, made)];

const unary = (f: (x: number) => number) => one(([x]) => ({ shape: x!.shape, data: x!.data.map(f) }));
const binary = (f: (x: number, y: number) => number) =>
  one(([x, y]) => tabulate(broadcast(x!.shape, y!.shape), (i) => f(pick(x!, i), pick(y!, i))));

const reduction = (
  start: number,
  fold: (a: number, b: number) => number,
  finish = (folded: number, _count: number) => folded,
) =>
  one<{ axes: number[] }>(([x], { axes }) => {
    const shape = x!.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const result = array(shape, new Float64Array(sizeOf(shape)).fill(start));
    tabulate(x!.shape, (index) => {
      const into = offset(result, index);
      result.data[into] = fold(result.data[into]!, pick(x!, index));
      return 0;
    });
    const count = sizeOf(x!.shape) / sizeOf(shape);
    return { ...result, data: result.data.map((folded) => finish(folded, count)) };
  });

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** A statistic over the last axis, which gets size 1; `of` receives one row. */
function perRow(x: NdArray, of: (row: Float64Array) => number): NdArray {
  const width = x.shape.at(-1)!;
  const shape = [...x.shape.slice(0, -1), 1];
  return array(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => of(x.data.subarray(i * width, (i + 1) * width))),
  );
}
const meanOf = (row: Float64Array, f: (x: number) => number): number =>
  total(row.length, (i) => f(row[i]!)) / row.length;

function softmax(x: NdArray, axis: number): NdArray {
  const along = (index: Index) =>
    Array.from({ length: x.shape[axis]! }, (_, i) => pick(x, swap(index, axis, i)));
  return tabulate(x.shape, (index) => {
    const values = along(index);
    const top = Math.max(...values);
    return Math.exp(pick(x, index) - top) / total(values.length, (i) => Math.exp(values[i]! - top));
  });
}
const logSumExp = (row: Float64Array): number => {
  const top = Math.max(...row);
  return top + Math.log(total(row.length, (i) => Math.exp(row[i]! - top)));
};

interface Quantized {
  readonly bits: number;
  readonly blockSize: number;
}

/** The elements of a matrix with quantized blocks; two 4-bit codes per byte. */
const dequantized =
  (codes: NdArray, scales: NdArray, { bits, blockSize }: Quantized) =>
  (row: number, column: number): number => {
    const block = Math.floor(column / blockSize);
    const inBlock = column % blockSize;
    const byte = at(codes, row, block, Math.floor((inBlock * bits) / 8));
    const code = bits === 8 ? byte : Math.floor(byte / 16 ** (inBlock % 2)) % 16;
    return (code - 2 ** (bits - 1)) * at(scales, row, block);
  };

interface Window {
  readonly stride: number;
  readonly pads: readonly [number, number, number, number];
  readonly size: readonly [number, number];
}

const RULES = {
  add: binary((x, y) => x + y),
  subtract: binary((x, y) => x - y),
  multiply: binary((x, y) => x * y),
  divide: binary((x, y) => x / y),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  less: binary((x, y) => Number(x < y)),
  equal: binary((x, y) => Number(x === y)),
  negate: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  reciprocal: unary((x) => 1 / x),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  relu: unary((x) => Math.max(x, 0)),
  tanh: unary(Math.tanh),
  sigmoid: unary(sigmoid),
  silu: unary((x) => x * sigmoid(x)),
  stopGradient: unary((x) => x),
  power: one<{ exponent: number }>(([x], { exponent }) => ({
    shape: x!.shape,
    data: x!.data.map((value) => value ** exponent),
  })),
  /** Casts to booleans and integers; floating-point types are not rounded here. */
  cast: one<{ dtype: string }>(([x], { dtype }) => ({
    shape: x!.shape,
    data: dtype.startsWith("float")
      ? x!.data
      : x!.data.map((value) => (dtype === "bool" ? Number(value !== 0) : Math.trunc(value))),
  })),
  where: one(([condition, x, y]) =>
    tabulate(broadcast(condition!.shape, x!.shape, y!.shape), (i) =>
      pick(condition!, i) ? pick(x!, i) : pick(y!, i),
    ),
  ),
  fill: one<{ value: number }>(([x], { value }) => tabulate(x!.shape, () => value)),

  sum: reduction(0, (a, b) => a + b),
  mean: reduction(
    0,
    (a, b) => a + b,
    (sum, count) => sum / count,
  ),
  max: reduction(Number.NEGATIVE_INFINITY, Math.max),
  argMin: one<{ axis: number }>(([x], { axis }) =>
    tabulate(
      x!.shape.filter((_, i) => i !== axis),
      (index) => {
        const value = (i: number) => pick(x!, [...index.slice(0, axis), i, ...index.slice(axis)]);
        let best = 0;
        for (let i = 1; i < x!.shape[axis]!; i++) if (value(i) < value(best)) best = i;
        return best;
      },
    ),
  ),

  matmul: one<{ transposeX: boolean; transposeY: boolean; scale: number }>(([x, y], attributes) => {
    const { transposeX, transposeY, scale } = attributes;
    const matrix = (a: NdArray, transposed: boolean) => ({
      rows: a.shape.at(transposed ? -1 : -2)!,
      columns: a.shape.at(transposed ? -2 : -1)!,
      value: (batch: Index, i: number, j: number) =>
        pick(a, transposed ? [...batch, j, i] : [...batch, i, j]),
    });
    const [left, right] = [matrix(x!, transposeX), matrix(y!, transposeY)];
    const shape = [...x!.shape.slice(0, -2), left.rows, right.columns];
    return tabulate(shape, (index) => {
      const batch = index.slice(0, -2);
      const [i, j] = [index.at(-2)!, index.at(-1)!];
      return scale * total(left.columns, (k) => left.value(batch, i, k) * right.value(batch, k, j));
    });
  }),

  quantizedLinear: one<Quantized>(([x, codes, scales], attributes) => {
    const weight = dequantized(codes!, scales!, attributes);
    const width = x!.shape.at(-1)!;
    return tabulate([...x!.shape.slice(0, -1), codes!.shape[0]!], (index) =>
      total(width, (k) => pick(x!, [...index.slice(0, -1), k]) * weight(index.at(-1)!, k)),
    );
  }),
  quantizedLinearBackward: one<Quantized & { width: number }>(([dy, codes, scales], attributes) => {
    const weight = dequantized(codes!, scales!, attributes);
    const out = codes!.shape[0]!;
    return tabulate([...dy!.shape.slice(0, -1), attributes.width], (index) =>
      total(out, (n) => pick(dy!, [...index.slice(0, -1), n]) * weight(n, index.at(-1)!)),
    );
  }),

  softmax: one<{ axis: number }>(([x], { axis }) => softmax(x!, axis)),
  rmsNorm: ([x, weight]: readonly NdArray[], { epsilon }: { epsilon: number }) => {
    const scale = perRow(x!, (row) => 1 / Math.sqrt(meanOf(row, (value) => value * value) + epsilon));
    return [tabulate(x!.shape, (i) => pick(x!, i) * pick(scale, i) * pick(weight!, i)), scale];
  },
  standardize: ([x]: readonly NdArray[], { epsilon }: { epsilon: number }) => {
    const centre = perRow(x!, (row) => meanOf(row, (value) => value));
    const scale = perRow(x!, (row) => {
      const middle = meanOf(row, (value) => value);
      return 1 / Math.sqrt(meanOf(row, (value) => (value - middle) ** 2) + epsilon);
    });
    return [tabulate(x!.shape, (i) => (pick(x!, i) - pick(centre, i)) * pick(scale, i)), centre, scale];
  },

  attention: ([queries, keys, values, bias]: readonly NdArray[]) => {
    const [batch, heads, time, width] = queries!.shape as [number, number, number, number];
    const length = keys!.shape[2]!;
    const scores = tabulate([batch, heads, time, length], (index) => {
      const [b, h, t, k] = index as [number, number, number, number];
      const product = total(width, (i) => at(queries!, b, h, t, i) * at(keys!, b, h, k, i));
      return product / Math.sqrt(width) + (bias ? pick(bias, index) : 0);
    });
    const probabilities = softmax(scores, 3);
    const output = tabulate(queries!.shape, (index) => {
      const [b, h, t, i] = index as [number, number, number, number];
      return total(length, (k) => at(probabilities, b, h, t, k) * at(values!, b, h, k, i));
    });
    return [output, probabilities];
  },
  rope: one(([x, positions, cos, sin]) => {
    const half = x!.shape[3]! / 2;
    return tabulate(x!.shape, (index) => {
      const [b, h, t, i] = index as [number, number, number, number];
      const position = at(positions!, b, t);
      const pair = i % half;
      const [c, s] = [at(cos!, position, pair), at(sin!, position, pair)];
      const [first, second] = [at(x!, b, h, t, pair), at(x!, b, h, t, pair + half)];
      return i < half ? first * c - second * s : second * c + first * s;
    });
  }),

  crossEntropy: ([logits, targets]: readonly NdArray[]) => {
    const lse = perRow(logits!, logSumExp);
    const rows = [logits!.shape[0]!];
    return [
      tabulate(rows, ([row]) => at(lse, row!, 0) - at(logits!, row!, at(targets!, row!))),
      tabulate(rows, ([row]) => at(lse, row!, 0)),
      tabulate(logits!.shape, (index) => pick(logits!, index) - pick(lse, index)),
    ];
  },

  embedding: one(([ids, table]) =>
    tabulate([...ids!.shape, table!.shape[1]!], (index) =>
      at(table!, pick(ids!, index.slice(0, -1)), index.at(-1)!),
    ),
  ),
  scatterRows: one(([x, ids, updates]) =>
    tabulate(x!.shape, (index) => {
      const [row, column] = index as [number, number];
      const count = ids!.shape[0]!;
      return pick(x!, index) + total(count, (i) => (ids!.data[i] === row ? at(updates!, i, column) : 0));
    }),
  ),
  gatherLast: one(([x, ids]) =>
    tabulate(ids!.shape, (index) => pick(x!, [...index.slice(0, -1), pick(ids!, index)])),
  ),
  scatterLast: one(([x, ids, updates]) =>
    tabulate(x!.shape, (index) => {
      const rows = index.slice(0, -1);
      const hits = (i: number) => pick(ids!, [...rows, i]) === index.at(-1);
      return pick(x!, index) + total(ids!.shape.at(-1)!, (i) => (hits(i) ? pick(updates!, [...rows, i]) : 0));
    }),
  ),
  take: one<{ axis: number }>(([x, ids], { axis }) =>
    tabulate([...x!.shape.slice(0, axis), ids!.shape[0]!, ...x!.shape.slice(axis + 1)], (index) =>
      pick(x!, swap(index, axis, ids!.data[index[axis]!]!)),
    ),
  ),

  /** The declared shape; a symbolic dimension is inferred, or equals the same axis of the input. */
  reshape: one<{ shape: readonly (number | string)[] }>(([x], { shape }, { inputs }) => {
    const kept = shape.map((dim, i) =>
      typeof dim === "number" ? dim : inputs[0]!.shape[i] === dim ? x!.shape[i]! : -1,
    );
    const known = kept.filter((dim) => dim >= 0).reduce((size, dim) => size * dim, 1);
    return array(
      kept.map((dim) => (dim < 0 ? x!.data.length / known : dim)),
      x!.data,
    );
  }),
  reshapeLike: one(([x, like]) => array(like!.shape, x!.data)),
  transpose: one<{ order: readonly number[] }>(([x], { order }) =>
    tabulate(
      order.map((axis) => x!.shape[axis]!),
      (index) => {
        const from = order.map(() => 0);
        for (const [i, axis] of order.entries()) from[axis] = index[i]!;
        return pick(x!, from);
      },
    ),
  ),
  broadcastTo: one<{ shape: readonly number[] }>(([x], { shape }) =>
    tabulate(shape, (index) => pick(x!, index)),
  ),
  broadcastLike: one(([x, like]) => tabulate(like!.shape, (index) => pick(x!, index))),
  repeat: one<{ axis: number; count: number }>(([x], { axis, count }) =>
    tabulate(swap(x!.shape, axis, count), (index) => pick(x!, index)),
  ),
  slice: one<{ axis: number; start: number; end: number; step: number }>(([x], attributes) => {
    const { axis, start, end, step } = attributes;
    const size = x!.shape[axis]!;
    const [from, to] = [start, end].map((edge) => (edge < 0 ? edge + size : edge)) as [number, number];
    return tabulate(swap(x!.shape, axis, Math.ceil((to - from) / step)), (index) =>
      pick(x!, swap(index, axis, from + index[axis]! * step)),
    );
  }),
  pad: one<{ axis: number; before: number; after: number }>(([x], { axis, before, after }) => {
    const size = x!.shape[axis]!;
    return tabulate(swap(x!.shape, axis, before + size + after), (index) => {
      const from = index[axis]! - before;
      return from >= 0 && from < size ? pick(x!, swap(index, axis, from)) : 0;
    });
  }),
  concat: one<{ axis: number }>((parts, { axis }) => {
    const size = total(parts.length, (i) => parts[i]!.shape[axis]!);
    return tabulate(swap(parts[0]!.shape, axis, size), (index) => {
      let from = index[axis]!;
      let part = 0;
      while (from >= parts[part]!.shape[axis]!) from -= parts[part++]!.shape[axis]!;
      return pick(parts[part]!, swap(index, axis, from));
    });
  }),
  split: ([x]: readonly NdArray[], { axis, sizes }: { axis: number; sizes: readonly number[] }) =>
    sizes.map((size, part) => {
      const before = total(part, (i) => sizes[i]!);
      return tabulate(swap(x!.shape, axis, size), (index) =>
        pick(x!, swap(index, axis, index[axis]! + before)),
      );
    }),

  conv2d: one<Window>(([x, weight, bias], { stride, pads: [top, left, bottom, right] }) => {
    const [n, channels, height, width] = x!.shape as [number, number, number, number];
    const [out, , kh, kw] = weight!.shape as [number, number, number, number];
    const pixel = (i: number, c: number, y: number, z: number) =>
      y >= 0 && y < height && z >= 0 && z < width ? at(x!, i, c, y, z) : 0;
    const rows = Math.floor((height + top + bottom - kh) / stride) + 1;
    const columns = Math.floor((width + left + right - kw) / stride) + 1;
    return tabulate([n, out, rows, columns], (index) => {
      const [i, o, y, z] = index as [number, number, number, number];
      const window = (c: number, dy: number, dz: number) =>
        at(weight!, o, c, dy, dz) * pixel(i, c, y * stride - top + dy, z * stride - left + dz);
      const taps = total(channels, (c) => total(kh, (dy) => total(kw, (dz) => window(c, dy, dz))));
      return taps + (bias ? bias.data[o]! : 0);
    });
  }),
  /** Every input pixel adds the scaled kernel to the output, `stride` apart; `top` and `left` are cropped. */
  convTranspose2d: one<Window>(([x, weight, bias], { stride, pads: [top, left], size }) => {
    const [n, channels, height, width] = x!.shape as [number, number, number, number];
    const [, out, kh, kw] = weight!.shape as [number, number, number, number];
    const result = tabulate([n, out, ...size], ([, o]) => (bias ? bias.data[o!]! : 0));
    tabulate([n, channels, height, width, out, kh, kw], (index) => {
      const [i, c, y, z, o, dy, dz] = index as [number, number, number, number, number, number, number];
      const [row, column] = [y * stride + dy - top, z * stride + dz - left];
      if (row >= 0 && row < size[0] && column >= 0 && column < size[1])
        result.data[offset(result, [i, o, row, column])]! += at(x!, i, c, y, z) * at(weight!, c, o, dy, dz);
      return 0;
    });
    return result;
  }),
  upsample: one<{ factor: number }>(([x], { factor }) => {
    const [n, channels, height, width] = x!.shape as [number, number, number, number];
    return tabulate([n, channels, height * factor, width * factor], (index) => {
      const [i, c, y, z] = index as [number, number, number, number];
      return at(x!, i, c, Math.floor(y / factor), Math.floor(z / factor));
    });
  }),
  averagePool: one<{ factor: number }>(([x], { factor }) => {
    const [n, channels, height, width] = x!.shape as [number, number, number, number];
    return tabulate([n, channels, height / factor, width / factor], (index) => {
      const [i, c, y, z] = index as [number, number, number, number];
      const block = total(factor, (dy) =>
        total(factor, (dz) => at(x!, i, c, y * factor + dy, z * factor + dz)),
      );
      return block / factor ** 2;
    });
  }),
};

/**
 * The values of `tensors`, computed in float64.
 *
 * @param feeds the inputs and parameters, by name
 */
export function evaluate64(tensors: readonly Tensor[], feeds: Readonly<Record<string, NdArray>>): NdArray[] {
  const values = new Map<Tensor, NdArray>();
  for (const tensor of behind(tensors)) {
    if (values.has(tensor)) continue;
    const { source } = tensor;
    if (source.kind === "constant") {
      values.set(
        tensor,
        array(tensor.shape as number[], Array.from(source.data as ArrayLike<number>, Number)),
      );
    } else if (source.kind !== "application") {
      if (!feeds[source.name])
        throw new Error(`evaluate64: expected a value for ${source.kind} ${source.name}`);
      values.set(tensor, feeds[source.name]!);
    } else {
      const { application } = source;
      const rule = (RULES as unknown as Record<string, Rule>)[application.operator.name];
      if (!rule)
        throw new Error(`evaluate64: no reference for ${application.operator.name} (add it to RULES)`);
      const inputs = application.inputs.map((input) => values.get(input)!);
      const made = rule(inputs, application.attributes as Record<string, never>, application);
      for (const [i, output] of application.outputs.entries()) values.set(output, made[i]!);
    }
  }
  return tensors.map((tensor) => values.get(tensor)!);
}

/** The tensors and everything they are computed from, in order of creation. */
function behind(tensors: readonly Tensor[]): Tensor[] {
  const seen = new Set<Tensor>();
  const visit = (tensor: Tensor): void => {
    if (seen.has(tensor)) return;
    seen.add(tensor);
    if (tensor.source.kind === "application") tensor.source.application.inputs.forEach(visit);
  };
  tensors.forEach(visit);
  return [...seen].sort((a, b) => a.id - b.id);
}
