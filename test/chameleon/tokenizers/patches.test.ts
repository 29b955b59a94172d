/** @file Codes of raw patches: latents are pixels, and the initial decoder returns the picture of the code vectors. */
import { expect, test } from "vitest";
import { imageTokenizerParameters } from "../../../src/chameleon/model/parameters.ts";
import { ImageTokenizer } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { decoder, encoder, type VqganConfig } from "../../../src/chameleon/tokenizers/vqgan.ts";
import { Graph, parameterShapes } from "../../../src/graph/index.ts";
import { createImage } from "../../../src/image/image.ts";
import { randomWeights } from "../../fixtures/chameleon/kit.ts";
import { array, evaluate, expectClose } from "../../graph/kit.ts";

const config: VqganConfig = {
  resolution: 8,
  baseChannels: 4,
  channelMultiplier: [1, 2],
  residualBlocks: 2,
  latentChannels: 1,
  embedDim: 12,
  codes: 3,
  normGroups: 1,
  patches: true,
};

test("a latent is the pixels of its cell, channel by channel", async () => {
  const graph = new Graph();
  const latents = encoder(graph.scope(), graph.input("pictures", "float32", ["n", 3, 8, 8]), config);
  expect([...parameterShapes(graph).keys()]).toEqual([]);
  const value = (channel: number, y: number, x: number) => channel * 100 + y * 10 + x;
  const pictures = Array.from({ length: 192 }, (_, i) =>
    value(Math.floor(i / 64), Math.floor(i / 8) % 8, i % 8),
  );
  const computed = await evaluate({ latents }, { pictures: array([1, 3, 8, 8], pictures) });
  const [row, column] = [1, 3];
  const cell = Array.from({ length: 12 }, (_, k) => computed.latents.data[(k * 4 + row) * 4 + column]!);
  const pixels = [0, 1, 2].flatMap((c) =>
    [0, 1].flatMap((y) => [0, 1].map((x) => value(c, 2 * row + y, 2 * column + x))),
  );
  expect(cell).toEqual(pixels);
});

test("without its last convolution the decoder gives the pixels back", async () => {
  const graph = new Graph();
  const pictures = graph.input("pictures", "float32", ["n", 3, 8, 8]);
  const decoded = decoder(graph.scope(), encoder(graph.scope(), pictures, config), config);
  const weights = randomWeights(parameterShapes(graph));
  for (const name of ["weight", "bias"])
    (weights.get(`decoder.conv_out.${name}`)!.data as Float32Array).fill(0);
  const given = array(
    [2, 3, 8, 8],
    Array.from({ length: 384 }, (_, i) => Math.sin(i)),
  );
  const computed = await evaluate({ decoded }, { pictures: given }, weights);
  expectClose(computed.decoded, given, { relative: 1e-6 });
});

test("codes are the nearest patches", async () => {
  const weights = randomWeights(
    new Map([...imageTokenizerParameters(config)].map(([name, shape]) => [name, [...shape]])),
  );
  const codebook = weights.get("model.vqmodel.quantize.embedding.weight")!.data as Float32Array;
  for (const [code, level] of [-1, 0.1, 0.9].entries()) codebook.fill(level, code * 12, (code + 1) * 12);
  const tokenizer = new ImageTokenizer(config, weights);
  const image = createImage(8, 8);
  for (let y = 0; y < 8; y++)
    for (let x = 0; x < 8; x++)
      image.data.fill(x < 4 ? 0.02 : y < 4 ? 0.5 : 1, (y * 8 + x) * 3, (y * 8 + x) * 3 + 3);
  expect([...(await tokenizer.encodeImage(image))]).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 2, 2, 0, 0, 2, 2]);
  await tokenizer.release();
});
