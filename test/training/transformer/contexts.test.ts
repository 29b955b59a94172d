/** @file Contexts of the user's pairs, mixed with those of families. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Tokenizers } from "../../../src/chameleon/checkpoint/folder.ts";
import { ImageTokenizer } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../../src/errors.ts";
import { createImage, type Image, savePng } from "../../../src/image/index.ts";
import { encodedContexts, openSets, openSources } from "../../../src/training/transformer/contexts.ts";
import type { ContextOptions } from "../../../src/training/transformer/data.ts";
import type { Mix } from "../../../src/training/transformer/mix.ts";
import { tinyTokenizers, tinyXPrompt } from "../../fixtures/chameleon/kit.ts";
import { plainMix } from "./kit.ts";

const COUNT = 20;
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-contexts-"));
  for (const side of ["input", "output"]) await mkdir(join(folder, side));
  const grey = (level: number): Image => {
    const image = createImage(16, 16);
    image.data.fill(level / 255);
    return image;
  };
  for (let i = 0; i < COUNT; i++) {
    await savePng(join(folder, "input", `${i}.png`), grey(i));
    await savePng(join(folder, "output", `${i}.png`), grey(100 + i));
  }
});
afterAll(() => rm(folder, { recursive: true }));

const tiny = tinyTokenizers();
/** The first code of a grey picture is its level. Pictures of families have other codes. */
class Level extends ImageTokenizer {
  override async encode(images: readonly Image[]): Promise<Int32Array[]> {
    return images.map(({ data }) => {
      const isGrey = data.every((value) => value === data[0]);
      return Int32Array.of(isGrey ? Math.round(data[0]! * 255) : -1, 0, 0, 0);
    });
  }
}
const sizes = { ...tiny.image.config, resolution: 16, channelMultiplier: [1, 1, 1, 1] };
const tokenizers: Tokenizers = { ...tiny, image: new Level(sizes, new Map()) };

const optionsOf = (mix: Partial<Mix>, part = "train"): ContextOptions => ({
  seed: 1,
  part,
  tokenizers: "",
  xprompt: tinyXPrompt,
  contexts: 2,
  todos: 2,
  weights: { target: 1, words: 1, query: 0, instruction: 0 },
  mix: { ...plainMix, pairs: [folder], pairsShare: 1, pairsHeldOut: 0.25, families: ["rotate"], ...mix },
});
/** Levels of input and output of every pair in some batches; −1 for pairs of families. */
async function levels(options: ContextOptions, steps = 8): Promise<[number, number][]> {
  const sources = await openSources(options);
  const found: [number, number][] = [];
  for (let step = 0; step < steps; step++)
    for (const { examples, todos } of (await encodedContexts(step, options, tokenizers, sources)).contexts) {
      for (const shown of examples) found.push([shown!.input[0]!, shown!.output[0]!]);
      for (const { input, target } of todos)
        if ("picture" in target) found.push([input![0]!, target.picture[0]!]);
    }
  return found;
}

test("examples and TODO parts are pairs of the set", async () => {
  const found = await levels(optionsOf({}));
  expect(found).toHaveLength(8 * 2 * 3);
  for (const [input, output] of found) expect(output).toBe(100 + input);
});

test("held-out pairs are used for evaluation and never for training", async () => {
  const inputs = async (part: string) => new Set((await levels(optionsOf({}, part))).map(([input]) => input));
  const [train, heldOut] = [await inputs("train"), await inputs("held out")];
  expect(heldOut.size).toBeGreaterThan(1);
  expect([...train].filter((level) => heldOut.has(level))).toEqual([]);
  expect(train.size + heldOut.size).toBe(COUNT);
});

test("one share comes from families, one is reversed", async () => {
  const some = (await levels(optionsOf({ pairsShare: 0.5 }), 16)).filter(([input]) => input === -1).length;
  expect(some / (16 * 6)).toBeGreaterThan(0.25);
  expect(some / (16 * 6)).toBeLessThan(0.75);
  const turned = (await levels(optionsOf({ pairsReversed: 0.5 }), 16)).filter(([input]) => input >= 100);
  expect(turned.length / (16 * 6)).toBeGreaterThan(0.25);
  expect(turned.length / (16 * 6)).toBeLessThan(0.75);
  for (const [input, output] of turned) expect(input).toBe(100 + output);
});

test("a missing folder is one clear error", async () => {
  await expect(openSets(optionsOf({ pairs: [join(folder, "none")] }))).rejects.toThrow(XPromptError);
});

test("batches of all kinds and sizes go through the set in its order, each pair once at most in a pass", async () => {
  const options = optionsOf({ exampleCounts: [1, 1, 1], describe: 0.4 });
  const sources = await openSources(options);
  const asked = vi.spyOn(sources.sets[0]!, "context");
  for (let step = 0; step < 30; step++) await encodedContexts(step, options, tokenizers, sources);
  const parts = asked.mock.calls.map(([n, { examples, todos, stride }]) => ({
    start: n * stride!,
    end: n * stride! + examples + todos,
  }));
  expect(new Set(parts.map(({ start, end }) => end - start)).size).toBeGreaterThan(3);
  for (const [i, { start }] of parts.entries())
    if (i > 0) expect(start).toBeGreaterThanOrEqual(parts[i - 1]!.end);
  // No more than the largest batch of each step.
  expect(parts.at(-1)!.end).toBeLessThanOrEqual(30 * 4 * 5);
});
