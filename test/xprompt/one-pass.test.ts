/** @file All codes from one run of the model. */
import { afterAll, expect, test } from "vitest";
import { Batch } from "../../src/chameleon/model/batch.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { codesInOnePass } from "../../src/xprompt/one-pass.ts";
import type { SampleRequest } from "../../src/xprompt/sample-codes.ts";
import { queryTokens } from "../../src/xprompt/sequence.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";

const model = await XPrompt.load("nano", { threads: 1 });
afterAll(() => model.release());
const [before, after, input] = ["before", "after", "input"].map((name) => somePicture(name, model.size));
const prompt = await model.compress([{ input: before!, output: after! }]);
const plain = { temperature: 1, topP: 1, topK: 0, guidance: 1, onePass: true };
const codesOf = async (options: Parameters<typeof model.generate>[0]) =>
  (await model.generate({ prompt, input, ...options })).codes;

test("the likeliest codes are those of a forward pass over hidden codes", async () => {
  const { decoder, tokenizer } = model.base;
  const { vocabulary, codesPerImage } = tokenizer;
  const [codes] = await tokenizer.encodeImages([input!]);
  const prefix = queryTokens(vocabulary, { input: codes!, instruction: [] });
  const tokens = [...prefix, ...Array<number>(codesPerImage - 1).fill(vocabulary.pad)];
  const cache = decoder.newCache(1);
  for (const block of prompt.blocks) cache.append(0, block);
  const { todoPosition } = model.config.xprompt;
  const logits = await decoder.forwardAll(
    { tokens, positions: tokens.map((_, i) => todoPosition + i) },
    cache,
  );
  const likeliest = Array.from({ length: codesPerImage }, (_, place) => {
    const row = logits.subarray((prefix.length - 1 + place) * decoder.config.vocabularySize);
    const choices = Array.from(vocabulary.imageTokens, (token) => row[token]!);
    return choices.indexOf(Math.max(...choices));
  });
  const {
    codes: sampled,
    steps,
    settings,
  } = await model.generate({ ...plain, prompt, input, temperature: 0 });
  expect(sampled).toEqual([likeliest]);
  expect(steps).toEqual({ runs: 1, drafted: 0, accepted: 0 });
  expect(settings).toMatchObject({ onePass: true });
  expect(sampled).not.toEqual(await codesOf({ ...plain, temperature: 0, onePass: false }));
});

test("a sample depends on its seed and number alone", async () => {
  const three = await codesOf({ ...plain, seed: 4, samples: 3 });
  expect(three[0]).toEqual((await codesOf({ ...plain, seed: 4 }))[0]);
  expect(new Set(three.map(String)).size).toBe(3);
  expect(await codesOf({ ...plain, seed: 4, samples: 3 })).toEqual(three);
});

test("guidance moves the logits away from those without examples", async () => {
  const likeliest = (guidance: number) => codesOf({ ...plain, temperature: 0, guidance });
  const alone = await codesOf({ ...plain, temperature: 0, prompt: undefined });
  // With weight 0 the examples have no say.
  expect(await likeliest(0)).toEqual(alone);
  const same = async (guidance: number) => {
    const [codes] = await likeliest(guidance);
    return codes!.filter((code, i) => code === alone[0]![i]).length;
  };
  expect(await same(4)).toBeLessThan(await same(0.2));
});

test("expected shows another picture of the same codes, and onProgress is called once", async () => {
  const rows: number[] = [];
  const options = { ...plain, prompt, input, seed: 2 };
  const sampled = await model.generate({
    ...options,
    expected: false,
    onProgress: ({ row }) => void rows.push(row),
  });
  expect(rows).toEqual([Math.sqrt(model.base.codesPerImage)]);
  const expected = await model.generate({ ...options, expected: true });
  expect(expected.codes).toEqual(sampled.codes);
  expect(expected.images[0].data).not.toEqual(sampled.images[0].data);
  const { images, codes } = await model.generate({ ...options, expected: true, samples: 3 });
  expect(images).toEqual(Array(3).fill(expected.images[0]));
  expect(new Set(codes.map(String)).size).toBe(3);
});

test("an aborted request makes room in the batch for the next one", async () => {
  const reason = new Error("enough");
  await expect(model.generate({ ...plain, input, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const { decoder, codesPerImage } = model.base;
  const { vocabulary } = model.tokenizer;
  // One row at a time: a request that stayed would keep the next one waiting.
  const batch = new Batch(decoder, { maxRows: 1 });
  const { blocks } = await model.compressor.empty();
  const sampling = { temperature: 1, topK: 0, topP: 1 };
  const guidance = { image: 1, text: 1, examples: 1 };
  const request = { ...{ blocks, empty: blocks[0]!, sampling, guidance }, query: { instruction: [] } };
  const sample = async (given: Partial<SampleRequest>) => {
    const settings = { ...request, codes: codesPerImage, samples: 1, seed: 4, ...given };
    for await (const codes of codesInOnePass(batch, vocabulary, model.config.xprompt, settings)) return codes;
  };
  const stop = new AbortController();
  const onLogits = ({ place }: { place: number }) => {
    if (place === 3) stop.abort(reason);
  };
  await expect(sample({ signal: stop.signal, onLogits })).rejects.toBe(reason);
  expect((await sample({}))![0]).toHaveLength(codesPerImage);
});
