/** @file Results at full size of examples that a map of colours explains, with a tiny model with random weights. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { flipped } from "../../src/image/flip.ts";
import { createImage, type Image, toBytes } from "../../src/image/index.ts";
import { Random } from "../../src/random.ts";
import type { GenerateOptions } from "../../src/xprompt/model.ts";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { openTinyModel, somePicture } from "../fixtures/xprompt/kit.ts";

const { model, close } = await openTinyModel();
const folder = await mkdtemp(join(tmpdir(), "colours-"));
afterAll(async () => {
  await close();
  await rm(folder, { recursive: true });
});

const inverted = (image: Image): Image => ({ ...image, data: image.data.map((value) => 1 - value) });
const before = somePicture("before", model.size);
const negative = { input: before, output: inverted(before) };
const unrelated = { input: before, output: somePicture("after", model.size) };
const query = createImage(50, 30);
const random = Random.of("query");
for (let i = 0; i < query.data.length; i++) query.data[i] = random.uniform();

const generate = (options: GenerateOptions) =>
  model.generate({ input: query, fullSize: true, seed: 1, ...options });

/** Whether a result is the negative of the query, but for rounding. */
const isNegative = (bytes: ArrayLike<number>): boolean =>
  toBytes(inverted(query)).every((value, i) => Math.abs(value - bytes[i]!) <= 1);

test("the map is applied at full size; the codes are drawn all the same", async () => {
  const result = await generate({ examples: [negative] });
  expect(result.changeFrom).toBe("example colours");
  expect(isNegative(result.images[0].data)).toBe(true);
  const drawn = await generate({ examples: [negative], exampleColours: false });
  expect(drawn.changeFrom).toBe("drawing");
  expect(isNegative(drawn.images[0].data)).toBe(false);
  expect(drawn.codes).toEqual(result.codes);
  const two = await generate({ examples: [negative], samples: 2 });
  expect(two.images).toEqual([result.images[0], result.images[0]]);
  // Each is a picture of its own.
  expect(two.images[1]!.data.buffer).not.toBe(two.images[0].data.buffer);
});

test("a mirrored example mirrors the picture, exactly", async () => {
  const { images, changeFrom } = await generate({
    examples: [{ input: before, output: flipped(before, { across: true, down: false }) }],
  });
  expect(changeFrom).toBe("example colours");
  const truth = toBytes(flipped(query, { across: true, down: false }));
  expect(truth.every((value, i) => Math.abs(value - images[0].data[i]!) <= 1)).toBe(true);
});

test("a saved prompt gives the same, and a prompt of which one example is not explained the drawing", async () => {
  const prompt = await model.compress([negative]);
  const path = join(folder, "negative.xprompt");
  await prompt.save(path);
  const { images } = await generate({ examples: [negative] });
  for (const given of [prompt, await VisualPrompt.load(path)]) {
    const result = await generate({ prompt: given });
    expect(result.changeFrom).toBe("example colours");
    expect(result.images).toEqual(images);
  }
  expect((await generate({ prompt, examples: [negative] })).changeFrom).toBe("example colours");
  expect((await generate({ prompt, examples: [unrelated] })).changeFrom).toBe("drawing");
  const withoutSums = VisualPrompt.of(
    prompt.model,
    prompt.blocks.map(({ colours: _, ...block }) => block),
  );
  expect((await generate({ prompt: withoutSums })).changeFrom).toBe("drawing");
});

test("with an instruction, without examples or at the model's size the drawing counts", async () => {
  expect((await generate({ examples: [negative], instruction: "make it rain" })).changeFrom).toBe("drawing");
  expect((await generate({ instruction: "make it rain" })).changeFrom).toBe("drawing");
  const small = await generate({ examples: [negative], input: before, fullSize: false });
  expect(small).not.toHaveProperty("changeFrom");
  expect(small.images[0].data).toBeInstanceOf(Float32Array);
  await expect(generate({ examples: [negative], fullSize: false, exampleColours: false })).rejects.toThrow(
    new UsageError("generating: exampleColours: expected it with fullSize, got it alone"),
  );
});
