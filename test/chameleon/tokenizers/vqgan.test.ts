/** @file The image tokenizer's network, compared with Hugging Face's; see test/fixtures/chameleon/make.py. */
import { describe, expect, test } from "vitest";
import { vqConfigSchema, vqganFromJson } from "../../../src/chameleon/checkpoint/config.ts";
import {
  codesPerImage,
  codeVectors,
  decodeCodes,
  encoder,
  gridSide,
  quantize,
  type VqganConfig,
} from "../../../src/chameleon/tokenizers/vqgan.ts";
import { Graph, parameterShapes } from "../../../src/graph/index.ts";
import { pictures, reference, tokenizerWeights, unpack } from "../../fixtures/chameleon/kit.ts";
import { array, evaluate, evaluate64, expectClose } from "../../graph/kit.ts";

const { tokenizer } = reference;
const config = vqganFromJson(vqConfigSchema.parse(tokenizer.config));
const weights = tokenizerWeights();

/** A model of both directions: pictures to codes and vectors, and codes to pictures. */
function both(n: number | string = 2) {
  const graph = new Graph();
  const w = graph.scope();
  const side = config.resolution;
  const latents = encoder(w, graph.input("pictures", "float32", [n, 3, side, side]), config);
  const { codes, vectors } = quantize(w, latents, config);
  const given = graph.input("codes", "int64", [n, codesPerImage(config)]);
  return { graph, latents, codes, vectors, decoded: decodeCodes(w, given, config) };
}
const given = { pictures: array([2, 3, 16, 16], pictures()), codes: array([2, 16], tokenizer.codes) };

test("sizes: every level but the last halves the sides", () => {
  const sizes: VqganConfig = { ...config, resolution: 64, channelMultiplier: [1, 2, 4, 4] };
  expect([gridSide(sizes), codesPerImage(sizes)]).toEqual([8, 64]);
  expect(gridSide({ ...sizes, channelMultiplier: [1] })).toBe(64);
});

test("has the names and shapes of Hugging Face", () => {
  expect(Object.fromEntries(parameterShapes(both().graph))).toEqual(tokenizer.shapes);
});

describe("against the reference", () => {
  test("the encoder's vectors", async () => {
    const { latents } = await evaluate({ latents: both().latents }, given, weights);
    expectClose(latents, unpack(tokenizer.latents), { relative: 2e-5 });
  });

  test("the codes, for any number of pictures", async () => {
    const { codes } = await evaluate({ codes: both().codes }, given, weights);
    expect([...codes.data]).toEqual(tokenizer.codes);
    const second = { ...given, pictures: array([1, 3, 16, 16], pictures().subarray(3 * 16 * 16)) };
    const alone = await evaluate({ codes: both("n").codes }, second, weights);
    expect([...alone.codes.data]).toEqual(tokenizer.codes.slice(16));
  });

  test("the decoder's pictures", async () => {
    const { decoded } = await evaluate({ decoded: both().decoded }, given, weights);
    expectClose(decoded, unpack(tokenizer.decoded), { relative: 2e-5 });
  });
});

test("each tile is encoded like a separate picture, and its codes take its place", async () => {
  const tile = 8;
  const graph = new Graph();
  const whole = graph.input("pictures", "float32", ["n", 3, 16, 16]);
  const parts = graph.input("tiles", "float32", ["m", 3, tile, tile]);
  const tiled = encoder(graph.scope(), whole, { ...config, encoderTile: tile });
  const alone = encoder(graph.scope(), parts, { ...config, resolution: tile });
  const pixels = pictures(); // [2, 3, 16, 16]
  const cut = new Float32Array(pixels.length);
  for (let i = 0; i < cut.length; i++) {
    const [x, y, plane] = [i % tile, Math.floor(i / tile) % tile, Math.floor(i / tile ** 2)];
    const [c, part] = [plane % 3, Math.floor(plane / 3)];
    const [column, row, n] = [part % 2, Math.floor(part / 2) % 2, Math.floor(part / 4)];
    cut[i] = pixels[((n * 3 + c) * 16 + row * tile + y) * 16 + column * tile + x]!;
  }
  const feeds = { ...given, tiles: array([8, 3, tile, tile], cut) };
  const made = await evaluate({ tiled, alone }, feeds, weights);
  const { embedDim } = config;
  const expected = new Float32Array(made.alone.data.length);
  const grid = tile / 4; // codes along the edge of a tile
  for (let i = 0; i < expected.length; i++) {
    const [x, y, c, n] = [
      i % (2 * grid),
      Math.floor(i / (2 * grid)) % (2 * grid),
      Math.floor(i / (2 * grid) ** 2) % embedDim,
      Math.floor(i / ((2 * grid) ** 2 * embedDim)),
    ];
    const part = n * 4 + Math.floor(y / grid) * 2 + Math.floor(x / grid);
    const at = ((part * embedDim + c) * grid + (y % grid)) * grid + (x % grid);
    expected[i] = Number(made.alone.data[at]);
  }
  expectClose(made.tiled, array([2, embedDim, 2 * grid, 2 * grid], expected), { relative: 1e-5 });
});

test("a code is the nearest vector of the codebook, and comes back as that vector", () => {
  const sizes: VqganConfig = { ...config, resolution: 2, channelMultiplier: [1], embedDim: 2, codes: 3 };
  const graph = new Graph();
  const w = graph.scope();
  const made = quantize(w, graph.input("latents", "float32", [1, 2, 2, 2]), sizes);
  // Channel by channel; the vectors in row-major order: (0, 0), (1, 0.2), (−1, 2), (0.9, 9).
  const latents = array([1, 2, 2, 2], [0, 1, -1, 0.9, 0, 0.2, 2, 9]);
  // The second code vector is by far the longest: the nearest code is not the one with the most similar direction.
  const codebook = array([3, 2], [1, 0, 5, 10, -1, 1]);
  const feeds = { latents, "quantize.embedding.weight": codebook };
  const [codes, vectors, flat] = evaluate64([made.codes, made.vectors, made.latents], feeds);
  expect([...codes!.data]).toEqual([0, 0, 2, 1]);
  expect([...vectors!.data]).toEqual([1, 0, 1, 0, -1, 1, 5, 10]);
  expect([...flat!.data]).toEqual([0, 0, 1, 0.2, -1, 2, 0.9, 9]);
  const again = codeVectors(w, graph.input("codes", "int64", [1, 4]), sizes);
  const [stored] = evaluate64([again], { ...feeds, codes: array([1, 4], codes!.data) });
  expect([...stored!.data]).toEqual([...vectors!.data]);
});
