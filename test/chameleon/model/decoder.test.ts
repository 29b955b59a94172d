/** @file Decoding with the cache, compared with Hugging Face's logits and with the packed training graph. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import { readInitializers } from "../../../src/chameleon/checkpoint/folder.ts";
import {
  isQuantizable,
  quantizeRows,
  type StoredQuantization,
  scaleName,
} from "../../../src/chameleon/checkpoint/quantize.ts";
import { cacheBytes } from "../../../src/chameleon/model/cache.ts";
import { Decoder, type TokenSpan } from "../../../src/chameleon/model/decoder.ts";
import { decoderParameters } from "../../../src/chameleon/model/parameters.ts";
import { type Initializer, parameterShapes, quantizedShapes } from "../../../src/graph/index.ts";
import { float16ToFloat32, float32ToFloat16 } from "../../../src/runtime/float16.ts";
import { type TensorToWrite, writeSafetensors } from "../../../src/runtime/safetensors.ts";
import { packBatch } from "../../../src/training/transformer/data.ts";
import { feedsOf } from "../../../src/training/transformer/objective.ts";
import { exampleRows, todoRows } from "../../../src/xprompt/packing.ts";
import { exampleTokens, queryTokens, targetTokens } from "../../../src/xprompt/sequence.ts";
import {
  asFeeds,
  dequantizeRows,
  loadDecoder,
  packedLogits,
  randomWeights,
  reference,
  tiny,
  tinyContexts,
  tinyTokenizers,
  tinyXPrompt,
  unpack,
} from "../../fixtures/chameleon/kit.ts";
import { array, evaluate, expectClose, type NdArray } from "../../graph/kit.ts";

const logitsAt = ({ shape: [, width], data }: NdArray, row: number): NdArray =>
  array([width!], data.subarray(row * width!, (row + 1) * width!));
const vector = (values: Float32Array): NdArray => array([values.length], values);
const CLOSE = { relative: 2e-5 };

/** A part of a span. */
const part = ({ tokens, positions }: TokenSpan, from: number, to?: number): TokenSpan => ({
  tokens: tokens.slice(from, to),
  positions: positions.slice(from, to),
});

describe.each(reference.decoders)("checkpoint $folder, against the reference", ({ folder, sequences }) => {
  let decoder: Decoder;
  beforeAll(async () => {
    const { config, weights } = await loadDecoder(folder);
    decoder = await Decoder.create(config, weights, { threads: 1 });
  });
  afterAll(() => decoder.release());

  test.each(sequences)(
    "positions $positions: at once, token by token, and in stretches",
    async (sequence) => {
      const expected = unpack(sequence.logits);
      const last = sequence.tokens.length - 1;
      const whole = await decoder.forward([sequence], decoder.newCache(1));
      expectClose(vector(whole), logitsAt(expected, last), { ...CLOSE, what: "at once " });

      const single = decoder.newCache(1);
      for (let i = 0; i <= last; i++) {
        const logits = await decoder.forward([part(sequence, i, i + 1)], single);
        expectClose(vector(logits), logitsAt(expected, i), { ...CLOSE, what: `token ${i} ` });
      }
      expect(single.lengths).toEqual([last + 1]);

      const stretches = decoder.newCache(1);
      for (let i = 0; i <= last; i += 3) {
        const logits = await decoder.forward([part(sequence, i, i + 3)], stretches);
        expectClose(vector(logits), logitsAt(expected, Math.min(i + 2, last)), {
          ...CLOSE,
          what: `stretch from ${i} `,
        });
      }
    },
  );

  test("logits after every token of a sequence", async () => {
    const fromStart = sequences.filter(({ positions }) => positions.every((position, i) => position === i));
    expect(fromStart).not.toEqual([]);
    for (const { tokens, logits } of fromStart) {
      const all = await decoder.logits(tokens);
      expectClose(array([tokens.length, all.length / tokens.length], all), unpack(logits), CLOSE);
    }
  });

  test("rows of different lengths share a cache, which grows beyond its first slots", async () => {
    const [sequence] = sequences;
    const expected = unpack(sequence!.logits);
    const shared = decoder.newCache(2);
    // Row 0 starts at the beginning of the sequence, row 1 near the end; both come from separate caches.
    const lengths = [3, sequence!.tokens.length - 10];
    for (const [row, length] of lengths.entries()) {
      const own = decoder.newCache(1);
      await decoder.forward([part(sequence!, 0, length)], own);
      shared.append(row, own.block(0, 0, 2));
      shared.append(row, own.block(0, 2, length - 2));
    }
    expect(shared.lengths).toEqual(lengths);
    for (let i = 0; i < 10; i += 2) {
      const logits = await decoder.forward(
        lengths.map((length) => part(sequence!, length + i, length + i + 2)),
        shared,
      );
      const width = decoder.config.vocabularySize;
      for (const [row, length] of lengths.entries())
        expectClose(
          vector(logits.subarray(row * width, (row + 1) * width)),
          logitsAt(expected, length + i + 1),
          { ...CLOSE, what: `row ${row}, token ${i + 1} ` },
        );
    }
    expect(shared.lengths).toEqual(lengths.map((length) => length + 10));
  });
});

test("prefill in several chunks gives the same logits as in short pieces", async () => {
  const config = { ...tiny, keyValueHeads: 2, maxPositions: 600 };
  const weights = randomWeights(decoderParameters(config));
  const decoder = await Decoder.create(config, weights, { threads: 1 });
  try {
    const tokens = Array.from({ length: 530 }, (_, i) => (i * i + 3 * i) % config.vocabularySize);
    const sequence = { tokens, positions: [...tokens.keys()] };
    const [whole, short] = [decoder.newCache(1), decoder.newCache(1)];
    const last = await decoder.forward([sequence], whole);
    const stretches: Float32Array[] = [];
    for (let from = 0; from < tokens.length; from += 53)
      stretches.push(await decoder.forward([part(sequence, from, from + 53)], short));
    expectClose(vector(last), vector(stretches.at(-1)!), CLOSE);
    const kept = [whole, short].map((cache) => cache.block(0, 500, 30).layers[1]!.values);
    expectClose(vector(kept[0]!), vector(kept[1]!), CLOSE);
    const all = await decoder.logits(tokens);
    expect(all.length).toBe(tokens.length * config.vocabularySize);
    for (const [i, logits] of stretches.entries()) {
      const end = (i + 1) * 53 * config.vocabularySize;
      expectClose(vector(all.slice(end - config.vocabularySize, end)), vector(logits), CLOSE);
    }
  } finally {
    await decoder.release();
  }
});

test("rows with many tokens, with few, and with none: each as alone", async () => {
  const config = { ...tiny, keyValueHeads: 2, maxPositions: 600 };
  const decoder = await Decoder.create(config, randomWeights(decoderParameters(config)), { threads: 1 });
  try {
    const spanOf = (row: number, from: number, count: number): TokenSpan => ({
      tokens: Array.from({ length: count }, (_, i) => (row * 31 + 7 * (from + i)) % config.vocabularySize),
      positions: Array.from({ length: count }, (_, i) => from + i),
    });
    const shared = decoder.newCache(4);
    const alone = Array.from({ length: 4 }, () => decoder.newCache(1));
    // Long and short steps in turn, so that rows differ in length, and one waits each time.
    for (const counts of [
      [100, 3, 0, 70],
      [1, 2, 90, 0],
      [0, 120, 1, 1],
    ]) {
      const spans = counts.map((count, row) => (count ? spanOf(row, shared.lengths[row]!, count) : null));
      const logits = await decoder.forwardEach(spans, shared);
      for (const [row, span] of spans.entries()) {
        expect(logits[row]).toHaveLength(counts[row]!);
        if (!span) continue;
        const [own] = await decoder.forwardEach([span], alone[row]!);
        for (const [i, each] of own!.entries()) expectClose(vector(logits[row]![i]!), vector(each), CLOSE);
      }
    }
    expect(shared.lengths).toEqual([101, 125, 91, 71]);
    for (const [row, cache] of alone.entries()) {
      const [own, copy] = [cache.block(0, 0, 70), shared.block(row, 0, 70)];
      for (const [layer, { keys }] of own.layers.entries())
        expectClose(vector(copy.layers[layer]!.keys), vector(keys), CLOSE);
    }
  } finally {
    await decoder.release();
  }
});

describe.each<StoredQuantization>([
  { bits: 4, blockSize: 32 },
  { bits: 4, blockSize: 128 },
  { bits: 8, blockSize: 32 },
  { bits: 8, blockSize: 64 },
])("a folder of weights in $bits bits, in blocks of $blockSize", (form) => {
  const config: DecoderConfig = {
    ...tiny,
    hiddenSize: 48,
    intermediateSize: 72,
    keyValueHeads: 2,
    quantization: form,
  };
  const { quantization: _, ...plain } = config;
  const weights = randomWeights(decoderParameters(plain));
  /** The quantized weights, dequantized to float32. */
  const exact = new Map<string, Initializer>();
  const folder = mkdtempSync(join(tmpdir(), "quantized-"));
  let decoder: Decoder;
  let dequantized: Decoder;

  beforeAll(async () => {
    const stored: TensorToWrite[] = [];
    for (const [name, weight] of weights) {
      const { shape, data } = weight;
      if (isQuantizable(name)) {
        const [rows, columns] = shape as [number, number];
        const quantized = quantizeRows(data, columns, form);
        const { codes, scales } = quantizedShapes(rows, columns, form);
        stored.push({ name, dtype: "U8", shape: codes, data: quantized.codes });
        stored.push({ name: scaleName(name), dtype: "F32", shape: scales, data: quantized.scales });
        exact.set(name, { ...weight, data: dequantizeRows(quantized, columns, form) });
      } else {
        const isTable = name === "model.embed_tokens.weight";
        stored.push({ name, dtype: isTable ? "F16" : "F32", shape, data });
        exact.set(name, isTable ? { ...weight, data: float16ToFloat32(float32ToFloat16(data)) } : weight);
      }
    }
    await writeSafetensors(join(folder, "model.safetensors"), stored);
    const { weights: initializers } = await readInitializers(folder, undefined);
    expect([...initializers.values()].every(({ data }) => "file" in data)).toBe(true);
    decoder = await Decoder.create(config, initializers, { threads: 1 });
    dequantized = await Decoder.create(plain, exact, { threads: 1 });
  });
  afterAll(async () => {
    await decoder?.release();
    await dequantized?.release();
    rmSync(folder, { recursive: true });
  });

  test("runs from its files, and equals the same weights in float32 up to rounding to 8 bits", async () => {
    const tokens = Array.from({ length: 12 }, (_, i) => (5 * i + 2) % config.vocabularySize);
    const [computed, expected] = [await decoder.logits(tokens), await dequantized.logits(tokens)];
    expectClose(vector(computed), vector(expected), { relative: 0.03 });
    const cache = decoder.newCache(1);
    let last: Float32Array = computed;
    for (const [i, token] of tokens.entries())
      last = await decoder.forward([{ tokens: [token], positions: [i] }], cache);
    expectClose(vector(last), vector(computed.slice(-config.vocabularySize)), { relative: 0.01 });
  });

  test("weights of another type are refused in one line", async () => {
    const wrong = new Map([...(await readInitializers(folder, undefined)).weights, ...weights]);
    await expect(Decoder.create(config, wrong)).rejects.toThrow(
      "loading a model: weight model.embed_tokens.weight: expected float16 [29, 48], got float32 [29, 48]",
    );
  });
});

test("cacheBytes: keys and values of all layers in float32", () => {
  expect(cacheBytes({ ...tiny, keyValueHeads: 2 }, 10)).toBe(2 * 2 * 2 * 6 * 10 * 4);
});

describe.each([
  ["one key per query", {}],
  ["grouped queries, norms after the sub-layers", { keyValueHeads: 2, swinNorm: true }],
  ["given pictures with bidirectional attention, both ways", {}],
] as const)("%s: decoding is what was trained", (name, change) => {
  const tokenizers = tinyTokenizers();
  const { vocabulary } = tokenizers.text;
  const isWhole = name.includes("both ways");
  const { beginImage: begin, endImage: end } = vocabulary;
  const config: DecoderConfig = {
    ...tiny,
    ...change,
    vocabularySize: vocabulary.size,
    ...(isWhole && { wholePictures: { begin, end } }),
  };
  const contexts = tinyContexts({ contexts: 2, examples: 2, todos: 3 });
  const weights = { target: 1, words: 1, query: 1, instruction: 1 };
  const batch = packBatch(
    { kind: "changes", contexts },
    { xprompt: tinyXPrompt, weights, wholePictures: isWhole },
    tokenizers,
  );

  const logits = packedLogits(batch.packing, config);
  const values = randomWeights(parameterShapes(logits.graph));
  const feeds = asFeeds(feedsOf(batch));

  test("compressed examples and a TODO part, token by token, give the packed graph's logits", async () => {
    const { computed } = await evaluate({ computed: logits }, feeds, values);
    expect(computed.shape[0]).toBe(exampleRows(batch.packing) + todoRows(batch.packing));
    const decoder = await Decoder.create(config, values, { threads: 1 });
    try {
      for (const [c, { examples, todos }] of contexts.entries()) {
        const blocks = await Promise.all(
          examples.map((example) => {
            const tokens = exampleTokens(vocabulary, example, tinyXPrompt.tokens);
            return decoder.encodeExample({ tokens, positions: [...tokens.keys()] }, tinyXPrompt.tokens);
          }),
        );
        for (const { length, heads } of blocks)
          expect([length, heads]).toEqual([tinyXPrompt.tokens, config.keyValueHeads]);
        for (const [t, { input, instruction, target }] of todos.entries()) {
          const cache = decoder.newCache(1);
          for (const block of blocks.toReversed()) cache.append(0, block);
          const asked = queryTokens(vocabulary, { input, instruction });
          const made = targetTokens(vocabulary, target).slice(0, -1);
          const first = exampleRows(batch.packing) + (c * todos.length + t) * batch.packing.todoLength;
          let next = 0;
          // A picture with bidirectional attention is processed at once.
          const parts = isWhole
            ? [asked, ...made.map((token) => [token])]
            : [...asked, ...made].map((token) => [token]);
          for (const tokens of parts) {
            const positions = tokens.map((_, i) => tinyXPrompt.todoPosition + next + i);
            const read = await decoder.forward([{ tokens, positions }], cache);
            next += tokens.length;
            expectClose(vector(read), logitsAt(computed, first + next - 1), {
              ...CLOSE,
              what: `context ${c}, TODO part ${t}, token ${next - 1} `,
            });
          }
        }
      }
    } finally {
      await decoder.release();
    }
  });
});
