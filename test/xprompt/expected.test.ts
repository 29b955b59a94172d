import { afterAll, describe, expect, test } from "vitest";
import { rmse } from "../../src/evaluation/metrics/pictures.ts";
import { Random } from "../../src/random.ts";
import { ExpectedVectors } from "../../src/xprompt/expected.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";

/** Stands in for a tokenizer whose code vectors have one value, the code; averages only certain codes. */
const certain = {
  runs: [] as number[],
  async meanVectors(logits: readonly Float32Array[]): Promise<Float32Array> {
    this.runs.push(logits.length);
    return Float32Array.from(logits, (row) => row.indexOf(Math.max(...row)));
  },
};

const oneHot = (code: number, codes: number): Float32Array =>
  Float32Array.from({ length: codes }, (_, i) => (i === code ? 1000 : -1000));

test("vectors are those of all places in their order, computed in several runs", async () => {
  const expected = new ExpectedVectors(certain);
  const codes = Array.from({ length: 150 }, (_, place) => (place * 7) % 11);
  for (const code of codes) expected.add(oneHot(code, 11));
  expect([...(await expected.vectors())]).toEqual(codes);
  expect(certain.runs.length).toBeGreaterThan(1);
});

test("a failure is reported with the vectors, not before", async () => {
  const expected = new ExpectedVectors({ meanVectors: () => Promise.reject(new Error("no memory")) });
  for (let place = 0; place < 150; place++) expected.add(new Float32Array(3));
  await new Promise((resolve) => setTimeout(resolve, 10));
  await expect(expected.vectors()).rejects.toThrow("no memory");
});

describe("a model", async () => {
  const model = await XPrompt.load("nano", { threads: 1 });
  afterAll(() => model.release());
  const input = somePicture("expected", model.size);
  const options = { input, instruction: "invert", seed: 3, temperature: 0.5 };

  test("samples the same codes, but shows another picture", async () => {
    const plain = await model.generate({ ...options, expected: false });
    const expected = await model.generate({ ...options, expected: true });
    expect(expected.codes).toEqual(plain.codes);
    const distance = rmse(expected.images[0], plain.images[0]);
    expect(distance).toBeGreaterThan(0.001);
    expect(distance).toBeLessThan(0.3);
  });

  const { tokenizer } = model;
  const count = tokenizer.vocabulary.imageTokens.length;

  test("the mean vector, by its definition", async () => {
    // The vectors of all codes: each is the mean where it is certain.
    const codebook: Float32Array[] = [];
    for (let first = 0; first < count; first += 512) {
      const part = Array.from({ length: 512 }, (_, i) => oneHot(first + i, count));
      const vectors = await tokenizer.meanVectors(part);
      const width = vectors.length / part.length;
      for (let i = 0; i < part.length; i++) codebook.push(vectors.subarray(i * width, (i + 1) * width));
    }
    expect(codebook).toHaveLength(count);
    const width = codebook[0]!.length;
    const random = Random.of("expected");
    // The third has logits that overflow when they are not shifted.
    const rows = [0.5, 4, 300].map((spread) =>
      Float32Array.from({ length: count }, () => spread * random.normal()),
    );
    const means = await tokenizer.meanVectors(rows);
    for (const [row, logits] of rows.entries()) {
      const best = Math.max(...logits);
      const weights = Array.from(logits, (logit) => Math.exp(logit - best));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < width; i++) {
        const mean = weights.reduce((sum, weight, code) => sum + (weight / total) * codebook[code]![i]!, 0);
        expect(means[row * width + i]).toBeCloseTo(mean, 4);
      }
    }
    await expect(tokenizer.meanVectors([new Float32Array(count - 1)])).rejects.toThrow(
      `expected logits of ${count} codes, got ${count - 1}`,
    );
  });

  test("decodes the vectors of codes as the codes", async () => {
    const codes = await tokenizer.encodeImage(input);
    const grid = await tokenizer.meanVectors(Array.from(codes, (code) => oneHot(code, count)));
    const [picture] = await tokenizer.decodeVectors([grid]);
    expect(rmse(picture!, await tokenizer.decodeImage(codes))).toBeLessThan(1e-6);
    await expect(tokenizer.decodeVectors([grid.subarray(1)])).rejects.toThrow("expected vectors");
  });
});
