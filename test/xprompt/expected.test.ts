import { afterAll, describe, expect, test } from "vitest";
import { rmse } from "../../src/evaluation/metrics/pictures.ts";
import { Random } from "../../src/random.ts";
import { ExpectedVectors } from "../../src/xprompt/expected.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";

test("the mean of the codes' vectors under the softmax of the logits", () => {
  const expected = new ExpectedVectors(Float32Array.of(1, 0, 0, 1, 4, 4), 3, 2);
  expected.set(1, Float32Array.of(Math.log(1), Math.log(2), Math.log(1)));
  // (1·(1, 0) + 2·(0, 1) + 1·(4, 4)) / 4; the first place has no value yet.
  expect([...expected.vectors]).toEqual([0, 0, 1.25, 1.5]);
});

test("large logits do not overflow, and a certain code keeps its vector", () => {
  const expected = new ExpectedVectors(Float32Array.of(1, 2, 3), 3, 1);
  expected.set(0, Float32Array.of(-1000, 1000, -1000));
  expect([...expected.vectors]).toEqual([2]);
});

test("many codes, by the definition; those that are a ten thousandth as likely as the likeliest are left out", () => {
  const [codes, width] = [30, 5];
  const random = Random.of("expected");
  const codebook = Float32Array.from({ length: codes * width }, () => random.normal());
  for (let trial = 0; trial < 20; trial++) {
    const logits = Float32Array.from({ length: codes }, () => 4 * random.normal());
    const powers = Array.from(logits, (logit) => Math.exp(logit - Math.max(...logits)));
    const weights = powers.map((power) => (power < 1e-4 ? 0 : power));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const mean = Array.from({ length: width }, (_, i) =>
      weights.reduce((sum, weight, code) => sum + (weight / total) * codebook[code * width + i]!, 0),
    );
    const expected = new ExpectedVectors(codebook, codes, 1);
    expected.set(0, logits);
    for (const [i, value] of expected.vectors.entries()) expect(value).toBeCloseTo(mean[i]!, 6);
  }
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

  test("decodes the vectors of codes as the codes", async () => {
    const { tokenizer } = model;
    const codes = await tokenizer.encodeImage(input);
    const { vectors, codes: count } = await tokenizer.codebook();
    const width = vectors.length / count;
    const grid = Float32Array.from(
      { length: codes.length * width },
      (_, i) => vectors[codes[Math.floor(i / width)]! * width + (i % width)]!,
    );
    const [picture] = await tokenizer.decodeVectors([grid]);
    expect(rmse(picture!, await tokenizer.decodeImage(codes))).toBeLessThan(1e-6);
    await expect(tokenizer.decodeVectors([grid.subarray(1)])).rejects.toThrow("expected vectors");
  });
});
