/** @file An image tokenizer with 32 norm groups gives what the narrower one gives. */
import { expect, test } from "vitest";
import {
  widened,
  widenedConfig,
  widenedShape,
  widening,
} from "../../../src/chameleon/checkpoint/norm-groups.ts";
import { imageTokenizerParameters } from "../../../src/chameleon/model/parameters.ts";
import { ImageTokenizer, VQ_PREFIX } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { randomWeights } from "../../fixtures/chameleon/kit.ts";
import { image, somePicture } from "../../fixtures/xprompt/kit.ts";

test.each([[[]], [[8, 4]]])("with attention at %j, besides the middle", async (attentionResolutions) => {
  const config = { ...image, attentionResolutions };
  const times = widening(config);
  const weights = randomWeights(imageTokenizerParameters(config));
  const wider = [...weights].map(([name, weight]) => {
    const own = name.slice(VQ_PREFIX.length + 1);
    const shape = widenedShape(own, weight.shape, times);
    return [name, { dtype: "float32" as const, shape, data: widened(own, weight, times) }] as const;
  });
  await using narrow = new ImageTokenizer(config, weights, { threads: 1 });
  await using wide = new ImageTokenizer(widenedConfig(config, times), new Map(wider), { threads: 1 });
  const pictures = [1, 2, 3].map((name) => somePicture(name));
  const codes = await narrow.encode(pictures);
  expect(new Set(codes.flatMap((row) => [...row])).size).toBeGreaterThan(5);
  expect(await wide.encode(pictures)).toEqual(codes);
  const [expected, decoded] = [await narrow.decode(codes), await wide.decode(codes)];
  for (const [i, { data }] of expected.entries()) {
    const differences = data.map((value, j) => Math.abs(value - decoded[i]!.data[j]!));
    expect(Math.max(...differences)).toBeLessThan(1e-4);
  }
});
