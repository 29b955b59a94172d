/**
 * @file Sampling codes with a tiny decoder of random weights, compared with the definition: each code follows from the
 * logits of every condition, computed from the beginning, mixed by the guidance.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { DecoderConfig } from "../../src/chameleon/checkpoint/config.ts";
import { Batch } from "../../src/chameleon/model/batch.ts";
import type { CacheBlock } from "../../src/chameleon/model/cache.ts";
import { Decoder } from "../../src/chameleon/model/decoder.ts";
import { type Sampling, sample } from "../../src/chameleon/model/sampling.ts";
import { embed, head, transformer } from "../../src/chameleon/model/transformer.ts";
import { XPromptError } from "../../src/errors.ts";
import { Graph, type Initializer, parameterShapes } from "../../src/graph/index.ts";
import { Random } from "../../src/random.ts";
import { promptLength, type SampleRequest, sampleCodes } from "../../src/xprompt/sample-codes.ts";
import { codeNats } from "../../src/xprompt/score.ts";
import { type EncodedExample, type EncodedQuery, exampleTokens } from "../../src/xprompt/sequence.ts";
import { randomWeights, tiny, tinyTokenizers, tinyXPrompt } from "../fixtures/chameleon/kit.ts";

const { vocabulary } = tinyTokenizers().text;
const config: DecoderConfig = { ...tiny, vocabularySize: vocabulary.size };
const CODES = 12;
const greedy: Sampling = { temperature: 0, topK: 0, topP: 1 };
const free: Sampling = { temperature: 1.3, topK: 0, topP: 1 };
const plain = { image: 1, text: 1, examples: 1 };
const text = [...vocabulary.textTokens];
const query: EncodedQuery = { input: [3, 1, 4, 1], instruction: text.slice(5, 8) };

function weightsOf(seed: number): Map<string, Initializer> {
  const graph = new Graph();
  const w = graph.scope();
  const tokens = embed(w, graph.input("tokens", "int64", [1]), config);
  head(
    w,
    transformer(w, tokens, (_layer, { queries }) => queries, config),
    config,
  );
  return randomWeights(parameterShapes(graph), seed);
}

let decoder: Decoder;
let [empty, ...blocks]: CacheBlock[] = [];
beforeAll(async () => {
  decoder = await Decoder.create(config, weightsOf(3), { threads: 1 });
  const examples: (EncodedExample | null)[] = [
    null,
    { input: [0, 1, 2, 3], output: [5, 4, 3, 2], instruction: [] },
    { input: [2, 2, 0, 5], output: [1, 0, 1, 0], instruction: text.slice(9, 11) },
    { input: [5, 0, 5, 0], output: [4, 4, 4, 4], instruction: [] },
  ];
  const read = examples.map((example) => {
    const tokens = exampleTokens(vocabulary, example, tinyXPrompt.tokens);
    return decoder.encodeExample({ tokens, positions: [...tokens.keys()] }, tinyXPrompt.tokens);
  });
  [empty, ...blocks] = await Promise.all(read);
});
afterAll(() => decoder.release());

const request = (changes: Partial<SampleRequest> = {}): SampleRequest => ({
  blocks,
  empty: empty!,
  query,
  codes: CODES,
  samples: 1,
  seed: 5,
  sampling: greedy,
  guidance: plain,
  ...changes,
});
const steps = (changes: Partial<SampleRequest> = {}, by = decoder, batch = new Batch(by)) =>
  sampleCodes(batch, vocabulary, tinyXPrompt, request(changes));
const codesOf = async (changes: Partial<SampleRequest> = {}, by = decoder, batch = new Batch(by)) => {
  let codes: readonly (readonly number[])[] = [];
  for await (codes of steps(changes, by, batch));
  return codes;
};

/** The logits of the next code, recomputed from the beginning. */
async function nextLogits(
  seen: readonly CacheBlock[],
  { input, instruction }: EncodedQuery,
  codes: readonly number[],
): Promise<number[]> {
  const picture = (of: ArrayLike<number>) => Array.from(of, (code) => vocabulary.imageTokens[code]!);
  const tokens = [
    vocabulary.sep,
    ...instruction,
    ...(input ? [vocabulary.beginImage, ...picture(input), vocabulary.endImage] : []),
    vocabulary.beginImage,
    ...picture(codes),
  ];
  const cache = decoder.newCache(1);
  for (const block of seen) cache.append(0, block);
  const positions = tokens.map((_, i) => tinyXPrompt.todoPosition + i);
  const logits = await decoder.forward([{ tokens, positions }], cache);
  return picture(Array.from({ length: 6 }, (_, code) => code)).map((token) => logits[token]!);
}

/** All codes of one sample by the definition. */
async function byDefinition({ blocks, query, guidance, sampling, seed }: SampleRequest, index = 0) {
  const random = Random.of(seed, "sample", index);
  const { input, instruction } = query;
  const seen = blocks.length > 0 ? blocks : [empty!];
  const codes: number[] = [];
  for (let i = 0; i < CODES; i++) {
    const nothing = await nextLogits([empty!], { instruction: [] }, codes);
    const withImage = await nextLogits([empty!], { input, instruction: [] }, codes);
    const withText = await nextLogits([empty!], { input, instruction }, codes);
    const full = await nextLogits(seen, { input, instruction }, codes);
    const mixed = nothing.map(
      (u, j) =>
        u +
        guidance.image * (withImage[j]! - u) +
        guidance.text * (withText[j]! - withImage[j]!) +
        guidance.examples * (full[j]! - withText[j]!),
    );
    codes.push(sample(Float32Array.from(mixed), sampling, random));
  }
  return codes;
}

describe("every code follows the definition", () => {
  const conditions: Record<string, Partial<SampleRequest>> = {
    "examples, picture and words": {},
    "examples and picture": { query: { input: query.input, instruction: [] } },
    "picture and words": { blocks: [] },
    "words alone": { blocks: [], query: { instruction: query.instruction } },
    "examples alone": { query: { instruction: [] } },
    nothing: { blocks: [], query: { instruction: [] } },
  };
  const guidances = [
    plain,
    { image: 1, text: 1, examples: 3 },
    { image: 1.5, text: 2.5, examples: 4 },
    { image: 2, text: 2, examples: 0 },
  ];
  test.each(Object.keys(conditions))("%s", async (name) => {
    for (const guidance of guidances)
      for (const sampling of [greedy, free]) {
        const asked = request({ ...conditions[name], guidance, sampling });
        const codes = await codesOf(asked);
        expect(codes, JSON.stringify({ guidance, sampling })).toEqual([await byDefinition(asked)]);
      }
  });

  test("each condition has a say", async () => {
    const all = await Promise.all(
      Object.values(conditions).map((condition) => codesOf({ ...condition, sampling: free })),
    );
    expect(new Set(all.map((codes) => codes.join())).size).toBe(all.length);
    expect(await codesOf({ guidance: { ...plain, examples: 4 } })).not.toEqual(await codesOf());
  });

  test("greedy pictures are not all of one code", async () => {
    expect(new Set((await codesOf())[0]).size).toBeGreaterThan(1);
  });
});

describe("samples", () => {
  test("each is sampled from a stream of its own, whatever the others", async () => {
    const guidance = { ...plain, examples: 2 };
    const many = await codesOf({ samples: 7, sampling: free, guidance });
    expect(many).toHaveLength(7);
    expect(new Set(many.map((row) => row.join())).size).toBe(7);
    expect(await codesOf({ samples: 3, sampling: free, guidance })).toEqual(many.slice(0, 3));
    expect(await codesOf({ samples: 1, sampling: free, guidance })).toEqual(many.slice(0, 1));
    for (const index of [0, 4])
      expect(await byDefinition(request({ sampling: free, guidance }), index)).toEqual(many[index]);
  });

  test("each is independent of the other samples and of other requests in the batch", async () => {
    const guided = { sampling: free, guidance: { image: 2, text: 3, examples: 4 } };
    const three = await codesOf({ ...guided, samples: 3 });
    expect(await codesOf(guided)).toEqual(three.slice(0, 1));
    const others = [
      { sampling: free, seed: 8, blocks: [] },
      { ...guided, seed: 9, samples: 2, query: { instruction: query.instruction } },
    ];
    const alone = await Promise.all(others.map((each) => codesOf(each)));
    const batch = new Batch(decoder);
    const joined: Promise<readonly (readonly number[])[]>[] = [];
    let codes: readonly (readonly number[])[] = [];
    // One joins after the third code, another after the sixth.
    for await (codes of steps({ ...guided, samples: 3 }, decoder, batch))
      if (codes[0]!.length % 3 === 0 && joined.length < 2)
        joined.push(codesOf(others[joined.length]!, decoder, batch));
    expect(codes).toEqual(three);
    expect(await Promise.all(joined)).toEqual(alone);
  });

  test("the same seed gives the same codes, another seed others", async () => {
    const codes = await codesOf({ sampling: free });
    expect(await codesOf({ sampling: free })).toEqual(codes);
    expect(await codesOf({ sampling: free, seed: 6 })).not.toEqual(codes);
  });

  test("greedy samples are all alike, whatever the seed", async () => {
    const [first, ...others] = await codesOf({ samples: 3 });
    for (const codes of others) expect(codes).toEqual(first);
    expect(await codesOf({ seed: 99 })).toEqual([first]);
  });

  test("nothing but image codes is sampled, however hot", async () => {
    const sampling = { ...free, temperature: 100 };
    const codes = (await codesOf({ samples: 40, sampling })).flat();
    expect(codes).toHaveLength(40 * CODES);
    // 300 text and control tokens would be more likely.
    expect([...new Set(codes)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

test("examples are a set: their order changes nothing but rounding", async () => {
  const [a, b, c] = blocks as [CacheBlock, CacheBlock, CacheBlock];
  const expected = await codesOf({ blocks: [a, b, c], sampling: free });
  const logits = await nextLogits([a, b, c], query, []);
  for (const order of [
    [c, b, a],
    [b, a, c],
    [c, a, b],
  ]) {
    expect(await codesOf({ blocks: order, sampling: free })).toEqual(expected);
    for (const [i, logit] of (await nextLogits(order, query, [])).entries())
      expect(logit).toBeCloseTo(logits[i]!, 4);
  }
  expect(await codesOf({ blocks: [a], sampling: free })).not.toEqual(expected);
  const [fewer] = await Promise.all([nextLogits([a, b], query, [])]);
  expect(Math.max(...fewer.map((logit, i) => Math.abs(logit - logits[i]!)))).toBeGreaterThan(0.01);
});

describe("steps", () => {
  test("have the codes so far, of all samples at once", async () => {
    const seen: number[][][] = [];
    for await (const codes of steps({ samples: 2, sampling: free })) seen.push(codes.map((row) => [...row]));
    const codes = seen.at(-1)!;
    expect(seen).toEqual(Array.from({ length: CODES }, (_, i) => codes.map((row) => row.slice(0, i + 1))));
  });

  test("the number of prompt tokens is the longest condition's", () => {
    expect(promptLength(vocabulary, request({ guidance: { image: 2, text: 3, examples: 4 } }))).toBe(
      1 + 3 + 6 + 1,
    );
    expect(promptLength(vocabulary, request({ query: { instruction: [] } }))).toBe(2);
  });

  test("end when the signal is aborted, with its reason", async () => {
    const controller = new AbortController();
    const reason = new Error("seen enough");
    let count = 0;
    const loop = async () => {
      for await (const _ of steps({ signal: controller.signal })) if (++count === 5) controller.abort(reason);
    };
    await expect(loop()).rejects.toBe(reason);
    expect(count).toBe(5);
  });

  test("end when the loop is left: the model is not run again", async () => {
    const forward = vi.spyOn(decoder, "forwardEach");
    try {
      for await (const [codes] of steps({ draft: false })) if (codes!.length === 3) break;
      expect(forward).toHaveBeenCalledTimes(2);
    } finally {
      forward.mockRestore();
    }
  });
});

test("no draft goes beyond the code before the last, so that the positions are enough", async () => {
  const maxPositions = tinyXPrompt.todoPosition + promptLength(vocabulary, request()) + CODES - 1;
  const short = await Decoder.create({ ...config, maxPositions }, weightsOf(3), { threads: 1 });
  try {
    for (let seed = 0; seed < 60; seed++) {
      const counts = { runs: 0, drafted: 0, accepted: 0 };
      const asked = { seed, sampling: { ...free, temperature: 0.5 }, steps: counts };
      expect(await codesOf(asked, short)).toEqual(
        await codesOf({ ...asked, steps: undefined, draft: false }),
      );
      expect(counts.runs + counts.accepted).toBe(CODES - 1);
    }
  } finally {
    await short.release();
  }
});

test("a model whose numbers are broken gives nothing, and no score", async () => {
  const weights = weightsOf(3);
  const { shape, data } = weights.get("lm_head.weight")!;
  const broken = Float32Array.from(data as Float32Array).fill(Number.NaN, 0, 24 * 10);
  weights.set("lm_head.weight", { dtype: "float32", shape, data: broken });
  const bad = await Decoder.create(config, weights, { threads: 1 });
  try {
    for (const sampling of [greedy, free]) {
      const attempt = codesOf({ sampling }, bad);
      await expect(attempt).rejects.toThrow(XPromptError);
      await expect(attempt).rejects.toThrow("generating: expected finite logits");
    }
    const score = codeNats(bad, vocabulary, tinyXPrompt, { blocks, query, target: [3, 1, 4, 1] });
    await expect(score).rejects.toThrow("scoring: expected finite logits");
  } finally {
    await bad.release();
  }
});

test("more memory than there is, is refused with the figures before anything is read", async () => {
  vi.stubEnv("XPROMPT_MEMORY_LIMIT", "1000000");
  const read = vi.spyOn(decoder, "forward");
  const guided = { sampling: free, guidance: { image: 2, text: 3, examples: 4 } };
  try {
    const refused = codesOf({ ...guided, samples: 64 });
    await expect(refused).rejects.toThrow(XPromptError);
    await expect(refused).rejects.toThrow(
      /^generating: expected [\d.]+ MiB of memory for 256 sequences of \d+ tokens, .*, got 976\.6 KiB available \(use fewer samples, .*\)$/,
    );
    expect(read).not.toHaveBeenCalled();
    expect(await codesOf(guided)).toHaveLength(1);
  } finally {
    vi.unstubAllEnvs();
    read.mockRestore();
  }
});
