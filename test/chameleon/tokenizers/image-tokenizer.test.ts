import { afterAll, describe, expect, test, vi } from "vitest";
import { vqConfigSchema, vqganFromJson } from "../../../src/chameleon/checkpoint/config.ts";
import { imageTokenizerParameters } from "../../../src/chameleon/model/parameters.ts";
import {
  fromPlanes,
  ImageTokenizer,
  toPlanes,
  VQ_PREFIX,
} from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../../src/errors.ts";
import type { Image } from "../../../src/image/index.ts";
import { Session } from "../../../src/runtime/session.ts";
import { pictures, randomWeights, reference, tokenizerWeights } from "../../fixtures/chameleon/kit.ts";
import { image, somePicture } from "../../fixtures/xprompt/kit.ts";

const { tokenizer: expected } = reference;
const weights = new Map(
  [...tokenizerWeights()].map(([name, each]) => [`${VQ_PREFIX}.${name}`, each] as const),
);
const tokenizer = new ImageTokenizer(vqganFromJson(vqConfigSchema.parse(expected.config)), weights, {
  threads: 1,
});
afterAll(() => tokenizer.release());

const codes = [expected.codes.slice(0, 16), expected.codes.slice(16)];
/** The reference's pictures, interleaved RGB in [0, 1]. */
const images: Image[] = [0, 1].map((n) => ({
  width: 16,
  height: 16,
  data: Float32Array.from({ length: 768 }, (_, i) => {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    return (pictures()[(n * 3 + channel) * 256 + pixel]! + 1) / 2;
  }),
}));

describe("planes", () => {
  const image: Image = { width: 2, height: 2, data: Float32Array.of(0, 0.5, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1) };

  test("channel by channel, [0, 1] as [−1, 1]", () => {
    const white: Image = { width: 2, height: 2, data: new Float32Array(12).fill(1) };
    const planes = toPlanes([image, white]);
    expect([...planes.slice(0, 12)]).toEqual([-1, 1, -1, -1, 0, -1, 1, -1, 1, -1, -1, 1]);
    expect([...planes.slice(12)]).toEqual(Array(12).fill(1));
  });

  test("and back, clipped to the valid range", () => {
    expect(fromPlanes(toPlanes([image, image]), 2)).toEqual([image, image]);
    const [outside] = fromPlanes(Float32Array.of(-3, 3, 0, 0, 1.01, -1.01, 0, 0, 0, 0, 0, 0), 2);
    expect([...outside!.data]).toEqual([0, 1, 0.5, 1, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
  });
});

describe("ImageTokenizer", () => {
  test("encodes pictures to the reference's codes, together and one by one", async () => {
    expect((await tokenizer.encode(images)).map((row) => [...row])).toEqual(codes);
    expect((await tokenizer.encode([images[1]!])).map((row) => [...row])).toEqual([codes[1]]);
    expect(await tokenizer.encode([])).toEqual([]);
  });

  test("decodes codes to the reference's pictures, limited to [0, 1]", async () => {
    const decoded = await tokenizer.decode(codes);
    const wanted = fromPlanes(Float32Array.from(expected.decoded.data), 16);
    expect(decoded.map(({ width, height }) => [width, height])).toEqual([
      [16, 16],
      [16, 16],
    ]);
    for (const [i, { data }] of decoded.entries())
      for (const [j, value] of data.entries()) expect(value).toBeCloseTo(wanted[i]!.data[j]!, 4);
    expect(await tokenizer.decode([Int32Array.from(codes[1]!)])).toEqual([decoded[1]]);
    expect(await tokenizer.decode([])).toEqual([]);
  });

  test("accepts planes unchanged, and a single picture", async () => {
    const planes = toPlanes([images[1]!]);
    expect([...(await tokenizer.encodeImage(planes))]).toEqual(codes[1]);
    expect((await tokenizer.encode([images[0]!, planes])).map((row) => [...row])).toEqual(codes);
    expect(await tokenizer.decodeImage(codes[1]!)).toEqual((await tokenizer.decode([codes[1]!]))[0]);
    await expect(tokenizer.encodeImage(planes.subarray(1))).rejects.toThrow(
      "encoding a picture: expected planes [3, 16, 16], got 767 values",
    );
  });

  test("refuses pictures of another size, saying which", async () => {
    const small: Image = { width: 16, height: 8, data: new Float32Array(384) };
    const refused = tokenizer.encode([images[0]!, small]);
    await expect(refused).rejects.toThrow(XPromptError);
    await expect(refused).rejects.toThrow("encoding a picture: expected 16 × 16 pixels, got 16 × 8");
  });

  test.each([
    ["too few", codes[0]!.slice(1), "got 15"],
    ["one beyond the codebook", [...codes[0]!.slice(1), 64], "got the code 64"],
    ["a negative one", [...codes[0]!.slice(1), -1], "got the code -1"],
    ["a broken one", [...codes[0]!.slice(1), 1.5], "got the code 1.5"],
  ])("refuses codes that it does not have: %s", async (_what, row, got) => {
    const refused = tokenizer.decode([codes[0]!, row]);
    await expect(refused).rejects.toThrow(XPromptError);
    await expect(refused).rejects.toThrow(/expected 16 codes below 64/);
    await expect(refused).rejects.toThrow(got);
  });
});

describe("memory", () => {
  /** For 512 × 512 pixels this network needs 50 MB. */
  const config = { ...image, resolution: 512 };
  const weights = randomWeights(imageTokenizerParameters(config));

  test("many pictures go through in several runs, each with the codes and pixels that it has alone", async () => {
    const run = vi.spyOn(Session.prototype, "run");
    const large = new ImageTokenizer(config, weights, { threads: 1 });
    try {
      const pictures = Array.from({ length: 3 }, (_, i) => somePicture(i, 512));
      const codes = await large.encode(pictures);
      const again = await large.decode([codes[0]!, codes[1]!, codes[2]!]);
      const sizes = run.mock.calls.map(([feeds]) => Object.values(feeds)[0]!.dims[0]!);
      expect(sizes.reduce((sum, size) => sum + size)).toBe(6);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(2);
      expect(codes[2]).toEqual(await large.encodeImage(pictures[2]!));
      expect(again[2]).toEqual(await large.decodeImage(codes[2]!));
    } finally {
      run.mockRestore();
      await large.release();
    }
  });
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])("weights with %d in them are refused", (wrong) => {
  const name = `${VQ_PREFIX}.quantize.embedding.weight`;
  const { shape, data } = weights.get(name)!;
  const values = Float32Array.from(data as Float32Array).fill(wrong, 7, 8);
  const broken = new Map([...weights, [name, { dtype: "float32" as const, shape, data: values }]]);
  expect(() => new ImageTokenizer(tokenizer.config, broken)).toThrow(XPromptError);
  expect(() => new ImageTokenizer(tokenizer.config, broken)).toThrow(
    /quantize\.embedding\.weight: .*damaged/,
  );
});

test("another preparation of values than [−1, 1]", () => {
  const grey: Image = { width: 1, height: 1, data: Float32Array.of(0, 0.5, 1) };
  const preprocessing = { scale: 0.0078, mean: [1, 1, 0.5], std: [1, 2, 1] } as const;
  const planes = toPlanes([grey], preprocessing);
  for (const [i, value] of [-1, (0.5 * 1.989 - 1) / 2, 1.989 - 0.5].entries())
    expect(planes[i]).toBeCloseTo(value, 6);
});
