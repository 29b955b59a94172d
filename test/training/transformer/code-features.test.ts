/** @file Code features, and tables with a shared map of them. */
import { expect, test } from "vitest";
import { mergeShared, withShared } from "../../../src/chameleon/model/shared-rows.ts";
import { Graph, parameterShapes } from "../../../src/graph/index.ts";
import { Random } from "../../../src/random.ts";
import { codeFeatures } from "../../../src/training/transformer/code-features.ts";
import { randomWeights, tinyTokenizers } from "../../fixtures/chameleon/kit.ts";
import { evaluate } from "../../graph/kit.ts";

const { vocabulary } = tinyTokenizers().text;
const codes = vocabulary.imageTokens.length;
test("rows of codes are uncorrelated and of length 1 on average; other rows are zero", () => {
  const random = Random.of(1, "codebook");
  const data = new Float32Array(codes * 3);
  for (let i = 0; i < codes; i++) {
    // Two correlated columns, and one that is not.
    const shared = random.normal();
    data.set([shared + random.normal(0, 0.1), shared + random.normal(0, 0.1), random.normal()], i * 3);
  }
  const { data: rows, width } = codeFeatures({ data, shape: [codes, 3] }, vocabulary);
  expect([width, rows.length]).toEqual([6, vocabulary.size * 6]);
  const isCode = new Set(vocabulary.imageTokens);
  let length = 0;
  for (let token = 0; token < vocabulary.size; token++) {
    const row = [...rows.subarray(token * 6, (token + 1) * 6)];
    if (isCode.has(token)) length += row.reduce((sum, x) => sum + x * x, 0);
    else expect(row).toEqual([0, 0, 0, 0, 0, 0]);
  }
  expect(length / codes).toBeCloseTo(1, 1);
  for (const [i, j] of [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const) {
    let product = 0;
    for (const token of vocabulary.imageTokens) product += rows[token * 6 + i]! * rows[token * 6 + j]!;
    expect(Math.abs(product / codes)).toBeLessThan(0.01);
  }
});

test("a merged table equals the graph's", async () => {
  const features = {
    data: Float32Array.from({ length: vocabulary.size * 2 }, (_, i) => Math.sin(i)),
    width: 2,
  };
  const graph = new Graph();
  const w = graph.scope().at("model.embed_tokens");
  const table = withShared(w, w.parameter("weight", [vocabulary.size, 4]), features);
  const weights = randomWeights(parameterShapes(graph));
  const { table: computed } = await evaluate({ table }, {}, weights);
  const merged = mergeShared(weights as never, features) as ReadonlyMap<string, { data: Float32Array }>;
  expect([...merged.keys()]).toEqual(["model.embed_tokens.weight"]);
  const rows = merged.get("model.embed_tokens.weight")!.data;
  for (const [i, value] of computed.data.entries()) expect(rows[i]).toBeCloseTo(value, 5);
});
