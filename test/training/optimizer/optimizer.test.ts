/** @file AdamW and Muon against PyTorch; the reference values come from test/fixtures/graph/make.py. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Graph, type Tensor } from "../../../src/graph/index.ts";
import {
  bufferName,
  methodOf,
  nextName,
  type OptimizerSettings,
  optimize,
  optimizerSchema,
  roles,
} from "../../../src/training/optimizer/optimizer.ts";
import { array, evaluate, evaluate64, expectClose, type NdArray } from "../../graph/kit.ts";

interface Packed {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
type Parameters = Readonly<Record<"matrix" | "vector", Packed>>;
interface Reference {
  readonly settings: Readonly<
    Record<"learningRate" | "beta1" | "beta2" | "epsilon" | "weightDecay" | "maxNorm", number>
  >;
  /** Parameters with weight decay. */
  readonly decayed: readonly string[];
  readonly parameters: Parameters;
  readonly steps: readonly {
    readonly learningRate: number;
    readonly gradients: Parameters;
    readonly gradientNorm: number;
    readonly parameters: Parameters;
    readonly firstMoments: Parameters;
    readonly secondMoments: Parameters;
  }[];
}
type Matrices = Readonly<Record<"tall" | "wide" | "square", Packed>>;
interface MuonReference {
  readonly settings: Readonly<Record<"learningRate" | "momentum" | "weightDecay", number>>;
  readonly parameters: Matrices;
  readonly steps: readonly Readonly<Record<"gradients" | "parameters" | "means", Matrices>>[];
}
const fixture = new URL("../../fixtures/graph/reference.json", import.meta.url);
const { optimizer: reference, muon } = JSON.parse(readFileSync(fixture, "utf8")) as {
  optimizer: Reference;
  muon: MuonReference;
};
const { maxNorm, ...given } = reference.settings;
const settings: OptimizerSettings = optimizerSchema.parse({ ...given, clipNorm: maxNorm });
const names = ["matrix", "vector"] as const;
const unpack = ({ shape, data }: Packed): NdArray => array(shape, data);

/** The optimizer's graph with gradients as inputs. */
function update(using: OptimizerSettings = settings): Record<string, Tensor> {
  const graph = new Graph();
  const parameters = names.map((name) => graph.parameter(name, reference.parameters[name].shape));
  const slopes = names.map((name) =>
    graph.input(`gradient of ${name}`, "float32", reference.parameters[name].shape),
  );
  const { outputs, gradientNorm } = optimize(graph, parameters, slopes, using);
  return { ...outputs, gradientNorm };
}

/** The inputs of one step besides the buffers. `time` starts at 1. */
const stepFeeds = (step: Reference["steps"][number], time: number): Record<string, NdArray> => ({
  "gradient of matrix": unpack(step.gradients.matrix),
  "gradient of vector": unpack(step.gradients.vector),
  "learning rate": array([], [step.learningRate]),
  "mean correction": array([], [1 / (1 - settings.beta1 ** time)]),
  "variance correction": array([], [1 / (1 - settings.beta2 ** time)]),
});
const zeros = ({ shape, data }: Packed): NdArray => array(shape, new Float64Array(data.length));
const start = (): Record<string, NdArray> =>
  Object.fromEntries(
    names.flatMap((name) =>
      roles.map((role) => {
        const given = reference.parameters[name];
        return [bufferName(role, name), role === "parameter" ? unpack(given) : zeros(given)];
      }),
    ),
  );

/** Names of the buffers, and of the outputs that replace them. */
const buffers = names.flatMap((name) => roles.map((role) => bufferName(role, name)));

test("the updated content of a buffer is an output", () => {
  expect(buffers).toContain("mean of matrix");
  expect(Object.keys(update()).sort()).toEqual([...buffers.map(nextName), "gradientNorm"].sort());
});

const evaluators = [
  // The graph stores β and 1 − β in float32; the rest is exact.
  [
    "in float64",
    3e-7,
    async (outputs: Record<string, Tensor>, feeds: Record<string, NdArray>) =>
      Object.fromEntries(
        evaluate64(Object.values(outputs), feeds).map((each, i) => [Object.keys(outputs)[i]!, each]),
      ),
  ],
  ["in onnxruntime", 2e-6, evaluate],
] as const;

describe.each(evaluators)(
  "five steps with clipping, decay and a falling rate, %s",
  (_name, relative, run) => {
    test("agree with PyTorch's", async () => {
      let state = start();
      for (const [i, step] of reference.steps.entries()) {
        const outputs = update();
        const made = await run(outputs, { ...state, ...stepFeeds(step, i + 1) });
        const close = (actual: NdArray, expected: NdArray, what: string) =>
          expectClose(actual, expected, { relative, what: `step ${i + 1}: ${what} ` });
        close(made.gradientNorm!, array([], [step.gradientNorm]), "norm");
        for (const name of names) {
          close(made[nextName(name)]!, unpack(step.parameters[name]), name);
          close(made[nextName(`mean of ${name}`)]!, unpack(step.firstMoments[name]), `mean of ${name}`);
          close(
            made[nextName(`variance of ${name}`)]!,
            unpack(step.secondMoments[name]),
            `variance of ${name}`,
          );
        }
        state = Object.fromEntries(buffers.map((name) => [name, made[nextName(name)]!]));
      }
    });
  },
);

test("the reference has clipped and unclipped steps", () => {
  const clipped = reference.steps.map(({ gradientNorm }) => gradientNorm > settings.clipNorm);
  expect(new Set(clipped).size).toBe(2);
  expect(reference.decayed).toEqual(["matrix"]);
});

test("a weight without gradient and decay does not change", () => {
  const still = { ...start(), ...stepFeeds(reference.steps[0]!, 1) };
  for (const name of names) still[`gradient of ${name}`] = zeros(reference.parameters[name]);
  const after = (using: OptimizerSettings) => {
    const { [nextName("matrix")]: next } = update(using);
    return evaluate64([next!], still)[0]!;
  };
  expect(after({ ...settings, weightDecay: 0 })).toEqual(unpack(reference.parameters.matrix));
  expectClose(
    after({ ...settings, weightDecay: 0.5 }),
    array(
      [3, 4],
      unpack(reference.parameters.matrix).data.map((x) => x * (1 - 0.5 * 0.01)),
    ),
    { relative: 1e-7 },
  );
});

test("gains and biases of norms do not decay, whatever their rank", () => {
  const kept = ["k_norm.weight", "k_norm.bias"];
  const graph = new Graph();
  const parameters = [...kept, "k_proj.weight"].map((name) => graph.parameter(name, [2, 2]));
  const slopes = parameters.map((_, i) => graph.input(`slope ${i}`, "float32", [2, 2]));
  const { outputs } = optimize(graph, parameters, slopes, { ...settings, weightDecay: 0.5 });
  const values = array([2, 2], [1, 2, 3, 4]);
  const still = array([2, 2], new Float64Array(4));
  const feeds = { ...stepFeeds(reference.steps[0]!, 1), "learning rate": array([], [0.1]) };
  for (const [i, name] of [...kept, "k_proj.weight"].entries())
    Object.assign(feeds, {
      [`slope ${i}`]: still,
      [name]: values,
      [bufferName("mean", name)]: still,
      [bufferName("variance", name)]: still,
    });
  const next = (name: string) => [...evaluate64([outputs[nextName(name)]!], feeds)[0]!.data];
  for (const name of kept) expect(next(name)).toEqual([1, 2, 3, 4]);
  expect(next("k_proj.weight")[3]).toBeCloseTo(4 * 0.95, 5);
});

describe.each(evaluators)("three steps of Muon with momentum and decay, %s", (_name, relative, run) => {
  test("make all singular values of the mean gradient about 1", async () => {
    const nameIn = (matrix: string) => `model.layers.3.${matrix}_proj.weight`;
    const matrices = Object.entries(muon.parameters);
    let state = Object.fromEntries(
      matrices.flatMap(([matrix, packed]) => [
        [nameIn(matrix), unpack(packed)],
        [bufferName("mean", nameIn(matrix)), zeros(packed)],
      ]),
    );
    const { momentum, weightDecay, learningRate } = muon.settings;
    for (const [i, step] of muon.steps.entries()) {
      const graph = new Graph();
      const parameters = matrices.map(([matrix, { shape }]) => graph.parameter(nameIn(matrix), shape));
      const slopes = matrices.map(([matrix, { shape }]) =>
        graph.input(`slope of ${matrix}`, "float32", shape),
      );
      const { outputs } = optimize(graph, parameters, slopes, {
        ...settings,
        ...{ matrices: "muon", momentum, weightDecay, clipNorm: 1e9 },
      });
      const gradients = Object.entries(step.gradients).map(([matrix, packed]) => [
        `slope of ${matrix}`,
        unpack(packed),
      ]);
      const rates = { "learning rate": array([], [learningRate]) };
      const made = await run(outputs, { ...state, ...Object.fromEntries(gradients), ...rates });
      for (const [matrix, expected] of Object.entries(step.parameters))
        expectClose(made[nextName(nameIn(matrix))]!, unpack(expected), {
          relative,
          what: `step ${i + 1}: ${matrix} `,
        });
      for (const [matrix, expected] of Object.entries(step.means))
        expectClose(made[nextName(bufferName("mean", nameIn(matrix)))]!, unpack(expected), { relative });
      state = Object.fromEntries(Object.keys(state).map((name) => [name, made[nextName(name)]!]));
    }
  });
});

test("Muon updates the matrices of layers, AdamW all other parameters", () => {
  const given = { matrices: "muon" } as const;
  for (const name of ["self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj"])
    expect(methodOf(given, `model.layers.12.${name}.weight`), name).toBe("muon");
  const others = ["lm_head.weight", "model.embed_tokens.weight", "model.layers.0.self_attn.q_norm.weight"];
  for (const name of others) expect(methodOf(given, name), name).toBe("adamw");
  expect(methodOf(optimizerSchema.parse({}), "model.layers.0.mlp.up_proj.weight")).toBe("adamw");
});

test("only parameters can be optimized", () => {
  const graph = new Graph();
  const input = graph.input("x", "float32", [2]);
  expect(() => optimize(graph, [input], [input], settings)).toThrow(
    "expected a parameter, got a tensor from an input",
  );
});
