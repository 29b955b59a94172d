/** @file Options of a wrong kind, as programs without types pass them: each is refused by its name, before any work. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError, XPromptError } from "../../src/errors.ts";
import { encodePng, type Image } from "../../src/image/index.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";

const folder = mkdtempSync(join(tmpdir(), "wrong-"));
let model: XPrompt;
beforeAll(async () => {
  await writeTinyModel(join(folder, "tiny"));
  model = await XPrompt.load(join(folder, "tiny"), { threads: 1 });
});
afterAll(async () => {
  await model.release();
  rmSync(folder, { recursive: true });
});

const refused = async (work: Promise<unknown>, message: string) => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message).toBe(message);
};

describe("generate", () => {
  test.each([
    ["one example alone", { examples: {} }, "examples: expected an array of examples, got something else"],
    ["no examples but null", { examples: null }, "examples: expected an array of examples, got null"],
    ["a number for words", { instruction: 5 }, "instruction: expected a text, got 5"],
    ["a text for a switch", { fullSize: "no" }, 'fullSize: expected true or false, got "no"'],
    [
      "the controller instead of its signal",
      { signal: new AbortController() },
      "signal: expected an AbortSignal, got something else",
    ],
    ["a number for a callback", { onProgress: 5 }, "onProgress: expected a function, got 5"],
    ["no library but null", { library: null }, "library: expected a Retriever, got null"],
  ])("%s", async (_what, options, message) => {
    await refused(
      model.generate({ input: somePicture("wrong", model.size), seed: 1, ...options } as never),
      `generating: ${message}`,
    );
  });
});

test("compress: words that are null", async () => {
  const picture = somePicture("wrong", model.size);
  const examples = [
    { input: picture, output: picture },
    { input: picture, output: picture, instruction: null },
  ];
  await refused(
    model.compress(examples as never),
    "compressing: examples[1].instruction: expected a text, got null",
  );
});

test.each([
  [{ threads: -1 }, "threads: expected a whole number from 0 to 1024, got -1"],
  [{ threads: "2" }, 'threads: expected a whole number from 0 to 1024, got "2"'],
  [{ threads: Number.NaN }, "threads: expected a whole number from 0 to 1024, got NaN"],
  [{ arena: "no" }, 'arena: expected true or false, got "no"'],
  [{ adapter: 5 }, "adapter: expected the path of a folder, got 5"],
  [{ device: "gpu" }, 'device: expected one of cpu, webgpu, cuda, got "gpu"'],
])("load: %o", async (options, message) => {
  await refused(XPrompt.load(join(folder, "tiny"), options as never), `loading a model: ${message}`);
});

describe("a decoded picture", () => {
  const size = 8;
  const picture = (data: Float32Array | Uint8Array) => ({ width: size, height: size, data }) as Image;
  const message = async (work: Promise<unknown>) => {
    const error = await work.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(XPromptError);
    return (error as Error).message;
  };

  test("with values up to 255 is not taken as white", async () => {
    const input = picture(new Float32Array(3 * size * size).fill(255));
    expect(await message(model.generate({ input, instruction: "x" }))).toBe(
      "using input: expected values from 0 to 1, got up to 255 (divide by 255, or pass bytes in a Uint8Array)",
    );
  });

  test("with values from −1 is not taken as half black", async () => {
    const input = picture(new Float32Array(3 * size * size).fill(-1));
    expect(await message(model.generate({ input, instruction: "x" }))).toBe(
      "using input: expected values from 0 to 1, got down to -1 (add 1 and divide by 2, if they are from −1 to 1)",
    );
  });

  test.each([
    [
      "with an alpha channel",
      picture(new Uint8Array(4 * size * size)),
      /expected 192 values for 8 × 8, got 256/,
    ],
    ["with too few values", picture(new Uint8Array(10)), /expected 192 values for 8 × 8, got 10/],
    ["of NaN", picture(new Float32Array(3 * size * size).fill(Number.NaN)), /expected finite values/],
    [
      "without pixels",
      { width: 0, height: 0, data: new Float32Array() },
      /whole width and height, got 0 × 0/,
    ],
    [
      "with part of a pixel",
      { width: 12.5, height: 16, data: new Uint8Array(600) },
      /whole width and height, got 12.5 × 16/,
    ],
    ["that is none", undefined as unknown as Image, /^saving a picture: expected/],
  ])("%s is not saved", async (_what, image, expected) => {
    expect(await message(encodePng(image))).toMatch(expected);
  });
});

test.each<[string, () => unknown, string]>([
  [
    "one picture to reconstruct",
    () => model.reconstruct("a.png" as never),
    "reconstructing: expected an array of pictures",
  ],
  [
    "no files of a model",
    () => XPrompt.fromFiles(undefined as never),
    "loading a model: expected the bytes of its files",
  ],
  [
    "no path of a prompt",
    () => VisualPrompt.load(undefined as never),
    "reading a prompt: expected the path of a file",
  ],
  [
    "one text to join",
    () => VisualPrompt.join("abc" as never),
    "joining prompts: expected an array of prompts",
  ],
])("%s", async (_what, call, message) => {
  const error = await Promise.resolve()
    .then(call)
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UsageError);
  expect((error as Error).message).toContain(message);
});

test("a weight of guidance that is undefined is that of plain sampling", async () => {
  const request = { input: somePicture("query", model.size), instruction: "x", seed: 1 };
  const { codes } = await model.generate({ ...request, guidance: { text: 2, image: undefined } });
  expect(codes).toEqual((await model.generate({ ...request, guidance: { text: 2 } })).codes);
});

test("a broken input of full size is named", async () => {
  const input = new Uint8Array(100);
  const error = await model
    .generate({ input, instruction: "x", fullSize: true })
    .catch((thrown: unknown) => thrown);
  expect((error as Error).message).toMatch(/^reading image input: /);
});
