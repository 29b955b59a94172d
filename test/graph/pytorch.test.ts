import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  abs,
  add,
  argMin,
  attention,
  averagePool,
  clip,
  concat,
  conv2d,
  convTranspose2d,
  type DType,
  divide,
  embedding,
  exp,
  Graph,
  gatherLast,
  gradients,
  groupNorm,
  layerNorm,
  linear,
  log,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  multiply,
  negate,
  type Padding,
  pad,
  power,
  reciprocal,
  rmsNorm,
  rope,
  rotaryTables,
  scatterLast,
  scatterRows,
  sigmoid,
  silu,
  slice,
  softmax,
  sqrt,
  standardize,
  stopGradient,
  subtract,
  sum,
  type Tensor,
  take,
  tanh,
  tokenLoss,
  transpose,
  upsample,
  where,
} from "../../src/graph/index.ts";
import { array, evaluate, expectClose, type NdArray, total } from "./kit.ts";

/** An array of the fixture, written with PyTorch in float64 by test/fixtures/graph/make.py. */
interface Packed {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly dtype?: DType;
}
type Named<T> = Readonly<Record<string, T>>;
interface Attributes {
  readonly axis: number;
  readonly axes: readonly number[];
  readonly keep: boolean;
  readonly epsilon: number;
  readonly groups: number;
  readonly exponent: number;
  readonly low: number;
  readonly high: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly before: number;
  readonly after: number;
  readonly order: readonly number[];
  readonly factor: number;
  readonly padding: Padding;
  readonly stride: number;
  readonly outputPadding: number;
  readonly theta: number;
  readonly length: number;
  readonly zLoss: number;
  readonly transposeX: boolean;
  readonly transposeY: boolean;
  readonly scale: number;
}
interface Case {
  readonly name: string;
  readonly op: string;
  readonly attributes: Attributes;
  readonly inputs: Named<Packed>;
  readonly outputs: Named<Packed>;
  readonly upstream: Named<Packed>;
  readonly gradients: Named<Packed>;
}

type Build = (inputs: Record<string, Tensor>, attributes: Attributes, graph: Graph) => Tensor | Named<Tensor>;

const unary =
  (f: (x: Tensor) => Tensor): Build =>
  ({ x }) =>
    f(x!);
const binary =
  (f: (x: Tensor, y: Tensor) => Tensor): Build =>
  ({ x, y }) =>
    f(x!, y!);
const reduction =
  (f: typeof sum): Build =>
  ({ x }, { axes, keep }) =>
    f(x!, axes, { keep });

/** The operators of the fixture in our graph language. */
const OPERATIONS: Named<Build> = {
  matmul: ({ x, y }, { transposeX, transposeY, scale }) => matmul(x!, y!, { transposeX, transposeY, scale }),
  linear: ({ x, weight }) => linear(x!, weight!),
  swiglu: ({ x, gate, up, down }) => linear(multiply(silu(linear(x!, gate!)), linear(x!, up!)), down!),
  negate: unary(negate),
  exp: unary(exp),
  abs: unary(abs),
  tanh: unary(tanh),
  sigmoid: unary(sigmoid),
  silu: unary(silu),
  log: unary(log),
  sqrt: unary(sqrt),
  reciprocal: unary(reciprocal),
  power: ({ x }, { exponent }) => power(x!, exponent),
  clip: ({ x }, { low, high }) => clip(x!, low, high),
  add: binary(add),
  subtract: binary(subtract),
  multiply: binary(multiply),
  divide: binary(divide),
  maximum: binary(maximum),
  minimum: binary(minimum),
  where: ({ condition, x, y }) => where(condition!, x!, y!),
  softmax: ({ x }, { axis }) => softmax(x!, axis),
  logSoftmax: ({ x }, { axis }) => log(softmax(x!, axis)),
  rmsNorm: ({ x, weight }, { epsilon }) => rmsNorm(x!, weight!, epsilon),
  standardize: ({ x }, { epsilon }) => standardize(x!, epsilon),
  layerNorm: ({ x, weight, bias }, { epsilon }) => layerNorm(x!, weight!, bias!, epsilon),
  groupNorm: ({ x, weight, bias }, { groups, epsilon }) => groupNorm(x!, weight!, bias!, groups, epsilon),
  embedding: ({ ids, table }) => embedding(ids!, table!),
  gatherLast: ({ x, ids }) => gatherLast(x!, ids!),
  scatterLast: ({ x, ids, updates }) => scatterLast(x!, ids!, updates!),
  scatterRows: ({ x, ids, updates }) => scatterRows(x!, ids!, updates!),
  take: ({ x, ids }, { axis }) => take(x!, ids!, axis),
  argMin: ({ x }, { axis }) => argMin(x!, axis),
  straightThrough: ({ x, y }) => add(x!, stopGradient(subtract(y!, x!))),
  rope: ({ x, positions }, { length, theta }, graph) =>
    rope(x!, positions!, rotaryTables(graph, length, x!.shape[3] as number, { theta })),
  attention: ({ queries, keys, values, bias }) => attention(queries!, keys!, values!, bias),
  conv2d: ({ x, weight, bias }, options) => conv2d(x!, weight!, bias, options),
  convTranspose2d: ({ x, weight, bias }, options) => convTranspose2d(x!, weight!, bias, options),
  upsample: ({ x }, { factor }) => upsample(x!, factor),
  averagePool: ({ x }, { factor }) => averagePool(x!, factor),
  sum: reduction(sum),
  mean: reduction(mean),
  max: reduction(max),
  transpose: ({ x }, { order }) => transpose(x!, order),
  slice: ({ x }, { axis, start, end, step }) => slice(x!, axis, start, end, step),
  concat: ({ x, y, z }, { axis }) => concat([x!, y!, z!], axis),
  pad: ({ x }, { axis, before, after }) => pad(x!, axis, before, after),
  tokenLoss: ({ logits, targets }) => ({ ...tokenLoss(logits!, targets!) }),
  weightedTokenLoss({ logits, targets, weights }, { zLoss }) {
    const { nll, logSumExp } = tokenLoss(logits!, targets!);
    const regularized = add(nll, multiply(power(logSumExp, 2), zLoss));
    return mean(multiply(weights!, regularized), 0, { keep: false });
  },
};

const { cases } = JSON.parse(
  readFileSync(new URL("../fixtures/graph/reference.json", import.meta.url), "utf8"),
) as { readonly cases: readonly Case[] };

test("every operation of the fixture is known here, and the other way round", () => {
  expect([...new Set(cases.map(({ op }) => op))].sort()).toEqual(Object.keys(OPERATIONS).sort());
});

test.each(cases)("$name: values and gradients are PyTorch's", async (given) => {
  const graph = new Graph();
  const declare = ([name, { dtype = "float32", shape }]: [string, Packed]) =>
    [name, graph.input(name, dtype, shape)] as const;
  const inputs = Object.fromEntries(Object.entries(given.inputs).map(declare));
  const built = OPERATIONS[given.op]!(inputs, given.attributes, graph);
  const outputs: Named<Tensor> = "graph" in built ? { y: built as Tensor } : built;
  const weighed = Object.entries(given.upstream).map(([name, { shape }]) =>
    multiply(outputs[name]!, graph.input(`upstream of ${name}`, "float32", shape)),
  );
  const wanted = Object.keys(given.gradients);
  const targets = wanted.map((name) => inputs[name]!);
  const slopes = wanted.length > 0 ? gradients(total(weighed), targets) : [];

  const feeds = {
    ...labelled("", arrays(given.inputs)),
    ...labelled("upstream of ", arrays(given.upstream)),
  };
  const expected = {
    ...labelled("output ", arrays(given.outputs)),
    ...labelled("gradient of ", arrays(given.gradients)),
  };
  const asked = {
    ...labelled("output ", outputs),
    ...labelled("gradient of ", Object.fromEntries(wanted.map((name, i) => [name, slopes[i]!]))),
  };
  const actual = await evaluate(asked, feeds);
  for (const what of Object.keys(expected)) expectClose(actual[what]!, expected[what]!, { what });
});

function labelled<T>(label: string, named: Named<T>): Named<T> {
  return Object.fromEntries(Object.entries(named).map(([name, value]) => [label + name, value]));
}

function arrays(packed: Named<Packed>): Named<NdArray> {
  return Object.fromEntries(
    Object.entries(packed).map(([name, { shape, data }]) => [name, array(shape, data)]),
  );
}
