/** @file The decoder, compared with Hugging Face's implementation; see test/fixtures/chameleon/make.py. */
import { describe, expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import {
  type Attend,
  embed,
  head,
  headWidth,
  transformer,
} from "../../../src/chameleon/model/transformer.ts";
import {
  attention,
  Graph,
  parameterShapes,
  repeat,
  reshape,
  rope,
  rotaryTables,
  type Tensor,
  transpose,
} from "../../../src/graph/index.ts";
import { asArrays, loadDecoder, reference, unpack } from "../../fixtures/chameleon/kit.ts";
import { array, evaluate, evaluate64, expectClose } from "../../graph/kit.ts";

/** The simplest attention: one sequence with a causal mask, rows `[1, time, …]`. */
function causal(graph: Graph, time: number, config: DecoderConfig): Attend {
  const { heads, keyValueHeads, maxPositions, rope: rotation } = config;
  const positions = graph.input("positions", "int64", [1, time]);
  const tables = rotaryTables(graph, maxPositions, headWidth(config), rotation);
  const bias = Float32Array.from({ length: time * time }, (_, i) =>
    i % time > Math.floor(i / time) ? -1e9 : 0,
  );
  const perHead = (x: Tensor) => transpose(x, [0, 2, 1, 3]);
  const shared = (x: Tensor) =>
    heads === keyValueHeads
      ? x
      : reshape(repeat(x, 2, heads / keyValueHeads), [1, heads, time, headWidth(config)]);
  return (_layer, { queries, keys, values }) => {
    const [q, k] = [queries, keys].map((x) => rope(perHead(x), positions, tables)) as [Tensor, Tensor];
    return perHead(attention(q, shared(k), shared(perHead(values)), graph.constant(bias, [time, time])));
  };
}

function logitsOf(time: number, config: DecoderConfig): Tensor {
  const graph = new Graph();
  const w = graph.scope();
  const ids = graph.input("tokens", "int64", [1, time]);
  const hidden = transformer(w, embed(w, ids, config), causal(graph, time, config), config);
  return reshape(head(w, hidden, config), [time, config.vocabularySize]);
}

describe.each(reference.decoders)("checkpoint $folder", ({ folder, sequences }) => {
  test("has the names and shapes of Hugging Face", async () => {
    const { config, weights } = await loadDecoder(folder);
    const stored = [...weights].map(([name, { shape }]) => [name, shape] as const);
    expect(new Map(parameterShapes(logitsOf(4, config).graph))).toEqual(new Map(stored));
  });

  test.each(sequences)("gives the reference's logits at positions $positions", async (sequence) => {
    const { config, weights } = await loadDecoder(folder);
    const time = sequence.tokens.length;
    const logits = logitsOf(time, config);
    const feeds = {
      tokens: array([1, time], sequence.tokens),
      positions: array([1, time], sequence.positions),
    };
    const expected = unpack(sequence.logits);
    const [exact] = evaluate64([logits], { ...feeds, ...asArrays(weights) });
    expectClose(exact!, expected, { relative: 1e-6, what: "logits in float64 " });
    const { computed } = await evaluate({ computed: logits }, feeds, weights);
    expectClose(computed, expected, { relative: 2e-5, what: "logits in onnxruntime " });
  });
});
