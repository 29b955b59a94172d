/**
 * @file The public model class, with a tiny model with random weights, for which every input matters, and with nano.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { UsageError, XPromptError } from "../../src/errors.ts";
import { encodePng, type Image, savePng, toBytes } from "../../src/image/index.ts";
import { Random } from "../../src/random.ts";
import { modelConfigToJson } from "../../src/xprompt/config.ts";
import { describeModel } from "../../src/xprompt/describe-model.ts";
import {
  type Example,
  type GenerateOptions,
  type GenerateStep,
  type Progress,
  XPrompt,
} from "../../src/xprompt/model.ts";
import { VisualPrompt } from "../../src/xprompt/prompt.ts";
import { somePicture, writeAdvisedModel, writeTinyModel } from "../fixtures/xprompt/kit.ts";

let folder: string;
let model: XPrompt;
let other: XPrompt;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "models-"));
  await writeTinyModel(join(folder, "tiny"));
  await writeTinyModel(join(folder, "other"), 2);
  model = await XPrompt.load(join(folder, "tiny"), { threads: 1 });
  other = await XPrompt.load(join(folder, "other"), { threads: 1 });
});
afterAll(async () => {
  await model.release();
  await other.release();
  await rm(folder, { recursive: true });
});

const ROWS = 4;
const pairs: Example[] = [1, 2, 3].map((i) => ({
  input: somePicture(`before ${i}`),
  output: somePicture(`after ${i}`),
}));
const input = somePicture("query");

/** The message of an expected error, which must be one line. */
async function refusal(work: Promise<unknown>, kind: typeof XPromptError = XPromptError): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(kind);
  expect((error as XPromptError).name).toBe(kind === UsageError ? "UsageError" : "XPromptError");
  expect((error as XPromptError).message).not.toContain("\n");
  return (error as XPromptError).message;
}

/** Options with invalid types, as JavaScript allows. */
const wrong = (options: Record<string, unknown>) => options as GenerateOptions;

const codesOf = async (options: GenerateOptions) => (await model.generate(options)).codes;

describe("compress", () => {
  test("keeps S slots of every example, however it was given", async () => {
    const prompt = await model.compress(pairs);
    expect(prompt.model).toBe(model.fingerprint);
    expect(prompt.blocks.map(({ length }) => length)).toEqual([3, 3, 3]);

    const [{ input, output }] = pairs as [{ input: Image; output: Image }];
    const [path, bytes] = [join(folder, "before.png"), await encodePng(output)];
    await savePng(path, input);
    const mixed = await model.compress([{ input: path, output: bytes }]);
    expect(mixed.blocks[0]).toEqual(prompt.blocks[0]);
  });

  test("several at once are those of each, joined", async () => {
    const each = await Promise.all(pairs.map((pair) => model.compress([pair])));
    expect(VisualPrompt.join(each).blocks).toEqual((await model.compress(pairs)).blocks);
  });

  test("depends on the input, the output and the instruction of an example", async () => {
    const [first, second] = pairs as [Example, Example];
    const variants: Example[] = [
      first,
      { ...first, input: second.input },
      { ...first, output: second.output },
      { input: first.output, output: first.input },
      { ...first, instruction: "make it rain" },
    ];
    const { blocks } = await model.compress(variants);
    const keys = blocks.map(({ layers }) => layers.at(-1)!.values.join());
    expect(new Set(keys).size).toBe(variants.length);
    const told = await model.compress([{ ...first, instruction: "  MAKE it Rain\n" }]);
    expect(told.blocks[0]).toEqual(blocks[4]);
  });

  test("takes pictures as paths, URLs, Blobs and buffers alike", async () => {
    const [{ input, output }] = pairs as [{ input: Image; output: Image }];
    const path = join(folder, "given.png");
    await savePng(path, input);
    const bytes = new Uint8Array(await encodePng(input));
    const expected = (await model.compress([{ input, output }])).blocks;
    for (const given of [path, pathToFileURL(path), bytes, bytes.buffer, new Blob([bytes])])
      expect((await model.compress([{ input: given, output }])).blocks).toEqual(expected);
    const remote = new URL("https://example.org/a.png");
    expect(await refusal(model.compress([{ input: remote, output }]), UsageError)).toContain(
      "using examples[0].input: expected a file: URL, got https: (fetch it",
    );
  });

  test("reports progress, and stops on abort", async () => {
    const done: number[] = [];
    const stop = new AbortController();
    const onProgress = (progress: { done: number; examples: number }) => {
      expect(progress.examples).toBe(3);
      done.push(progress.done);
      if (progress.done === 2) stop.abort(new Error("enough"));
    };
    await expect(model.compress(pairs, { onProgress, signal: stop.signal })).rejects.toThrow("enough");
    expect(done).toEqual([1, 2]);
  });

  test("needs an example", async () => {
    expect(await refusal(model.compress([]), UsageError)).toContain("at least one example");
  });
});

describe("options", () => {
  test("generate accepts examples directly, with the same result as with compressed ones", async () => {
    const prompt = await model.compress(pairs);
    const expected = await codesOf({ prompt, input, seed: 3 });
    expect(await codesOf({ examples: pairs, input, seed: 3 })).toEqual(expected);
    const [first, ...others] = pairs;
    const both = { prompt: await model.compress([first!]), examples: others };
    expect(await codesOf({ ...both, input, seed: 3 })).toEqual(expected);
  });

  test("an unknown one is an error that names the nearest", async () => {
    expect(await refusal(model.generate(wrong({ input, temprature: 1 })), UsageError)).toMatch(
      /^generating: expected .*, got temprature \(did you mean "temperature"\?\)$/,
    );
    expect(await refusal(model.compress(pairs, { sginal: 1 } as never), UsageError)).toContain('"signal"?');
    expect(await refusal(XPrompt.load("nano", { divice: 1 } as never), UsageError)).toContain('"device"?');
    expect(await refusal(XPrompt.load(undefined as never), UsageError)).toContain("expected a name");
  });

  test("those of a library are refused without one", async () => {
    for (const [name, value] of [
      ["k", 2],
      ["minSimilarity", 0.5],
    ])
      expect(await refusal(model.generate(wrong({ input, [name!]: value })), UsageError)).toContain(
        `generating: ${name}: expected it with a library, got it alone`,
      );
  });

  test("describe takes the most likely tokens unless a temperature is given", async () => {
    const prompt = await model.compress([pairs[0]!]);
    const greedy = await model.describe({ prompt });
    for (const seed of [5, 6, 7])
      expect(await model.describe({ prompt }, { seed, temperature: undefined })).toBe(greedy);
  });

  test("describe takes one pair, or several in one list", async () => {
    const both = pairs.slice(0, 2);
    const prompt = await model.compress(both);
    expect(await model.describe(both)).toBe(await model.describe({ prompt }));
    expect(await model.describe([pairs[0]!])).toBe(await model.describe(pairs[0]!));
    expect(await refusal(model.describe([]), UsageError)).toContain("got none");
    expect(await refusal(model.describe(null as never), UsageError)).toContain(
      "expected examples or a prompt",
    );
  });

  test.each([undefined, null, 7])("no options at all: %s", async (nothing) => {
    if (nothing !== undefined)
      expect(await refusal(model.describe(pairs[0]!, nothing as never), UsageError)).toContain(
        "describing: expected an object with options",
      );
    expect(await refusal(model.generate(nothing as never), UsageError)).toContain(
      `generating: expected an object with options, got ${nothing}`,
    );
  });

  test("the result reports how much of the instruction was cut off", async () => {
    const instruction = "make it rain ".repeat(20);
    const { tokens } = await model.generate({ input, instruction });
    expect(tokens.unread).toBe(model.unreadTokens(instruction, 1));
    expect(tokens.unread).toBeGreaterThan(10);
    expect((await model.generate({ input })).tokens.unread).toBe(0);
  });
});

describe("the same request", () => {
  test("gives the same codes and pictures for the same seed, and others for another seed", async () => {
    const prompt = await model.compress(pairs.slice(0, 1));
    const [a, b, c] = await Promise.all(
      [7, 7, 8].map((seed) => model.generate({ prompt, input, seed, samples: 2 })),
    );
    expect(b!.codes).toEqual(a!.codes);
    expect(b!.images).toEqual(a!.images);
    expect(c!.codes).not.toEqual(a!.codes);
    expect([a!.seed, c!.seed]).toEqual([7, 8]);
  });

  test("without a seed uses a random one, which gives the same result again", async () => {
    const [a, b] = [await model.generate({ input }), await model.generate({ input })];
    expect(a.seed).not.toBe(b.seed);
    expect(await codesOf({ input, seed: a.seed })).toEqual(a.codes);
  });

  test("gives the same result with a saved prompt", async () => {
    const prompt = await model.compress(pairs);
    const path = join(folder, "three.xprompt");
    await prompt.save(path);
    const loaded = await VisualPrompt.load(path);
    const request = { input, seed: 3, samples: 3, guidance: 2 };
    expect(await codesOf({ ...request, prompt: loaded })).toEqual(await codesOf({ ...request, prompt }));
  });

  test("gives sample i whatever the number of samples", async () => {
    const request = {
      prompt: await model.compress(pairs),
      input,
      seed: 11,
      guidance: { examples: 3, image: 2 },
    };
    const many = await codesOf({ ...request, samples: 6 });
    expect(await codesOf({ ...request, samples: 2 })).toEqual(many.slice(0, 2));
    expect(await codesOf(request)).toEqual(many.slice(0, 1));
  });

  test("gives the same result while others run", async () => {
    const alone = await codesOf({ input, seed: 1 });
    const requests = [1, 2, 3, 1].map((seed) => codesOf({ input, seed }));
    const [first, , , last] = await Promise.all(requests);
    expect([first, last]).toEqual([alone, alone]);
  });
});

describe("conditions", () => {
  test("each one changes the result", async () => {
    const [one, two] = [await model.compress(pairs.slice(0, 1)), await model.compress(pairs.slice(1))];
    const requests: GenerateOptions[] = [
      {},
      { input },
      { input: somePicture("another") },
      { instruction: "make it rain" },
      { input, instruction: "make it rain" },
      { prompt: one },
      { prompt: one, input },
      { prompt: two, input },
      { prompt: [one, two], input },
      { prompt: one, input, guidance: 4 },
      { prompt: one, input, guidance: { image: 4 } },
      { prompt: one, input, temperature: 0.3 },
      { prompt: one, input, topK: 2 },
      { prompt: one, input, topP: 0.3 },
    ];
    const drawn = new Map<string, GenerateOptions>();
    for (const request of requests) {
      const codes = String(await codesOf({ seed: 1, samples: 3, ...request }));
      expect(drawn.get(codes), JSON.stringify(Object.keys(request))).toBeUndefined();
      drawn.set(codes, request);
    }
  });

  test("several prompts are one of all their examples, in any order", async () => {
    const each = await Promise.all(pairs.map((pair) => model.compress([pair])));
    const request = { input, seed: 4, samples: 4 };
    const expected = await codesOf({ ...request, prompt: await model.compress(pairs) });
    expect(await codesOf({ ...request, prompt: each })).toEqual(expected);
    expect(await codesOf({ ...request, prompt: each.toReversed() })).toEqual(expected);
    expect(await codesOf({ ...request, prompt: VisualPrompt.join(each) })).toEqual(expected);
    expect(await codesOf({ ...request, prompt: each.slice(1) })).not.toEqual(expected);
    expect(await codesOf({ input, seed: 4, samples: 4, prompt: [] })).toEqual(await codesOf(request));
  });

  test("guidance of 1 is none; a number is for the examples, or for the words", async () => {
    const prompt = await model.compress(pairs.slice(0, 1));
    const [shown, told]: GenerateOptions[] = [
      { prompt, input, seed: 2, instruction: "add a green box" },
      { input, seed: 2, instruction: "add a green box" },
    ];
    for (const request of [shown!, told!]) {
      const without = await codesOf(request);
      expect(await codesOf({ ...request, guidance: 1 })).toEqual(without);
      expect(await codesOf({ ...request, guidance: { image: 1, text: 1, examples: 1 } })).toEqual(without);
      expect(await codesOf({ ...request, guidance: {} })).toEqual(without);
      expect(await codesOf({ ...request, guidance: 5 })).not.toEqual(without);
    }
    expect(await codesOf({ ...shown, guidance: 5 })).toEqual(
      await codesOf({ ...shown, guidance: { examples: 5 } }),
    );
    expect(await codesOf({ ...told, guidance: 5 })).toEqual(
      await codesOf({ ...told, guidance: { text: 5 } }),
    );
  });

  test("tokens beyond the limit are cut off and counted", async () => {
    const long = "make it rain ".repeat(40);
    expect(model.unreadTokens("rain", 2)).toBe(0);
    const unread = [0, 1, 2].map((pictures) => model.unreadTokens(long, pictures as 0 | 1 | 2));
    expect(unread[1]).toBeGreaterThan(0);
    expect(unread[2]).toBe(unread[1]);
    // Without a picture, text may use its space.
    expect(unread[1]! - unread[0]!).toBe(ROWS ** 2 + 2);
    const request = { input, seed: 2 };
    expect(await codesOf({ ...request, instruction: long })).toEqual(
      await codesOf({ ...request, instruction: `${long} remove the red ball` }),
    );
    const { tokens } = await model.generate({ ...request, instruction: long });
    expect(tokens.prompt).toBe(1 + 5 + (ROWS ** 2 + 2) + 1);
    expect((await model.generate({ instruction: long })).tokens.prompt).toBe(tokens.prompt);
    expect(await refusal(model.generate({ instruction: "x".repeat(100_001) }))).toContain(
      "100000 characters",
    );
  });

  test("control tokens in words are only words", async () => {
    const request = { input, seed: 2, samples: 4 };
    const plain = await codesOf({ ...request, instruction: "<s>" });
    expect(plain).not.toEqual(await codesOf(request));
    await model.generate({ ...request, instruction: "<racm3:break>IMGIMGBZ<eoss><xp00></s>\u0000\ud800" });
  });
});

test.each([2, { image: 1.5, examples: 2 }])(
  "what a model recommends is taken unless told, and does not make it another model: %j",
  async (guidance) => {
    const place = join(folder, "recommends");
    await writeAdvisedModel(place, { temperature: 0.5, top_k: 4, guidance, expected: true });
    const advised = await XPrompt.load(place, { threads: 1 });
    expect(advised.fingerprint).toBe(model.fingerprint);
    const request = { prompt: await model.compress(pairs), input, seed: 5 };
    const drawn = await advised.generate(request);
    const advice = { temperature: 0.5, topK: 4, topP: 1, guidance, expected: true, onePass: false };
    expect(drawn.settings).toEqual(advice);
    expect(drawn.codes).toEqual(await codesOf({ ...request, temperature: 0.5, topK: 4, guidance }));
    const told = { temperature: 1, topK: 0, guidance: 1, expected: false };
    const plain = await advised.generate({ ...request, ...told });
    expect(plain.settings).toEqual({ ...told, topP: 1, onePass: false });
    expect(plain.codes).toEqual(await codesOf(request));
    expect(plain.codes).not.toEqual(drawn.codes);
    await advised.release();
  },
);

test("for words alone a model may recommend something else", async () => {
  const place = join(folder, "recommends");
  const alone = { guidance: 6, one_pass: false };
  const sampling = { temperature: 0.5, guidance: 2, one_pass: true, words_alone: alone };
  await writeAdvisedModel(place, sampling);
  const advised = await XPrompt.load(place, { threads: 1 });
  const words = { instruction: "a red ball", seed: 5 };
  const settings = { temperature: 0.5, topK: 0, topP: 1, guidance: 2, expected: false, onePass: true };
  const drawn = await advised.generate(words);
  expect(drawn.settings).toEqual({ ...settings, guidance: 6, onePass: false });
  expect(drawn.codes).toEqual(await codesOf({ ...words, temperature: 0.5, guidance: 6 }));
  expect((await advised.generate({ ...words, input })).settings).toEqual(settings);
  const prompt = await model.compress(pairs);
  expect((await advised.generate({ ...words, prompt })).settings).toEqual(settings);
  expect((await advised.generate({ ...words, guidance: 3 })).settings.guidance).toBe(3);
  expect(modelConfigToJson(advised.config).xprompt).toMatchObject({ sampling });
  await advised.release();
});

test("who asks for samples gets them, also where a model recommends the mean of one pass", async () => {
  const place = join(folder, "recommends the mean");
  await writeAdvisedModel(place, { expected: true, one_pass: true });
  await using advised = await XPrompt.load(place, { threads: 1 });
  const request = { prompt: await model.compress(pairs), input, seed: 5 };
  expect((await advised.generate(request)).settings).toMatchObject({ expected: true, onePass: true });
  const sampled = { expected: false, onePass: true };
  const { settings, codes } = await advised.generate({ ...request, samples: 2 });
  expect(settings).toMatchObject(sampled);
  expect(codes).toEqual((await model.generate({ ...request, samples: 2, onePass: true })).codes);
  expect(codes[0]).not.toEqual(codes[1]);
  for (const one of [{ temperature: 2 }, { topK: 5 }, { topP: 0.5 }])
    expect((await advised.generate({ ...request, ...one })).settings).toMatchObject({ ...sampled, ...one });
  const told = await advised.generate({ ...request, samples: 2, expected: true, onePass: true });
  expect(told.settings).toMatchObject({ expected: true, onePass: true });
});

describe("the result", () => {
  test("has pictures of the model's size, valid codes, and timings", async () => {
    const prompt = await model.compress(pairs.slice(0, 2));
    const result = await model.generate({ prompt, input, instruction: "make it rain", samples: 3, seed: 1 });
    expect(result.images).toHaveLength(3);
    for (const { width, height, data } of result.images) {
      expect([width, height, data.length]).toEqual([32, 32, 32 * 32 * 3]);
      expect(data.every((value) => value >= 0 && value <= 1)).toBe(true);
    }
    expect(result.codes.map((row) => row.length)).toEqual([16, 16, 16]);
    expect(result.codes.flat().every((code) => Number.isInteger(code) && code >= 0 && code < 32)).toBe(true);
    expect(result.model).toBe(model.fingerprint);
    expect(result.tokens).toMatchObject({ examples: 6, generated: 48 });
    const { prepare, draw, decode, total } = result.timings;
    for (const time of [prepare, draw, decode]) expect(time).toBeGreaterThan(0);
    expect(total).toBeCloseTo(prepare + draw + decode, 6);
  });

  test("progress is reported once per row, with the pictures so far", async () => {
    const rows: number[] = [];
    const previews: (readonly Image[])[] = [];
    const result = await model.generate({
      input,
      seed: 5,
      samples: 2,
      onProgress: async (progress: Progress) => {
        rows.push(progress.row);
        expect(progress.rows).toBe(ROWS);
        previews.push(await progress.preview());
      },
    });
    expect(rows).toEqual([1, 2, 3, 4]);
    for (const images of previews) {
      expect(images).toHaveLength(2);
      for (const { width, height } of images) expect([width, height]).toEqual([32, 32]);
    }
    expect(previews[3]).toEqual(result.images);
    for (const row of [0, 1, 2]) expect(previews[row]).not.toEqual(previews[row + 1]);
  });

  test("without an input, the missing part of a preview is grey", async () => {
    const grey: number[] = [];
    await model.generate({
      seed: 5,
      onProgress: async ({ preview }) => {
        const [{ data }] = (await preview()) as [Image];
        grey.push(data.length - 1 - data.findLastIndex((value) => value !== 0.5));
      },
    });
    const row = (32 * 32 * 3) / ROWS;
    expect(grey).toEqual([3 * row, 2 * row, row, 0]);
  });

  test("a preview shows its own row, however late it is asked for", async () => {
    const at: Progress[] = [];
    const early: Image[][] = [];
    await model.generate({
      input,
      seed: 5,
      onProgress: async (progress) => {
        at.push(progress);
        early.push(await progress.preview());
      },
    });
    for (const [i, progress] of at.entries()) expect(await progress.preview()).toEqual(early[i]);
  });
});

describe("cancelling", () => {
  const reason = new Error("changed my mind");

  test.each([1, 2, 4])("after row %i of 4 rejects with the reason, and tells no more", async (row) => {
    const controller = new AbortController();
    const told: number[] = [];
    const work = model.generate({
      input,
      signal: controller.signal,
      onProgress: (progress) => {
        told.push(progress.row);
        if (progress.row === row) controller.abort(reason);
      },
    });
    await expect(work).rejects.toBe(reason);
    expect(told).toEqual(Array.from({ length: row }, (_, i) => i + 1));
  });

  test("before the start does not start", async () => {
    let told = 0;
    const work = model.generate({ signal: AbortSignal.abort(reason), onProgress: () => void told++ });
    await expect(work).rejects.toBe(reason);
    expect(told).toBe(0);
  });

  test("leaves the model working", async () => {
    const controller = new AbortController();
    const samples = 64;
    const whole = await model.generate({ input, samples, seed: 1 });
    const work = model.generate({
      input,
      samples,
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    });
    await expect(work).rejects.toBe(reason);
    expect((await model.generate({ input, samples, seed: 1 })).codes).toEqual(whole.codes);
  });

  test("a stream has a step per code, previews, and generate's result in its last step", async () => {
    const asked = { examples: pairs, input, seed: 3, samples: 2 };
    const expected = await model.generate(asked);
    const counts: number[] = [];
    let last: GenerateStep | undefined;
    for await (const step of model.stream(asked)) {
      const { codes, codesPerImage, preview, result } = step;
      last = step;
      expect(codesPerImage).toBe(model.codesPerImage);
      counts.push(codes[0]!.length);
      expect(codes).toEqual(expected.codes.map((row) => row.slice(0, codes[0]!.length)));
      expect(result !== undefined).toBe(counts.length === codesPerImage + 1);
      if (codes[0]!.length === codesPerImage) expect(await preview()).toEqual(expected.images);
    }
    expect(counts.slice(0, -1)).toEqual(Array.from({ length: model.codesPerImage }, (_, i) => i + 1));
    expect(last!.result!.images).toEqual(expected.images);
    expect(() => model.stream({ ...asked, onProgress: () => {} } as object)).toThrow(UsageError);
  });

  test("an error in onProgress ends it", async () => {
    const work = model.generate({
      onProgress: () => {
        throw reason;
      },
    });
    await expect(work).rejects.toBe(reason);
  });
});

describe("options out of range", () => {
  test.each<[string, unknown[], string]>([
    ["temperature", [-0.1, 100.1, Number.NaN, Number.POSITIVE_INFINITY, "1", null], "a number from 0 to 100"],
    ["topK", [-1, 1.5, Number.NaN, "3"], "a whole number from 0"],
    ["topP", [0, -1, 1.01, Number.NaN], "a number above 0, up to 1"],
    ["samples", [0, 65, 1.5, Number.NaN, -1, "2", 1e9], "a whole number from 1 to 64"],
    ["seed", [-1, 1.5, Number.NaN, "7", 7n], "a whole number from 0"],
    ["seed", [1e20, 2 ** 53], "a whole number from 0 to 2^53 - 1"],
    [
      "guidance",
      [-1, 101, Number.NaN, "3", { image: -1 }, { examples: Number.NaN }, { words: 2 }, []],
      "a number from 0 to 100, or one for each of image, text and examples",
    ],
  ])("%s", async (name, values, expected) => {
    for (const value of values) {
      const message = await refusal(model.generate(wrong({ input, [name]: value })), UsageError);
      expect(message).toContain(`generating: ${name}: expected ${expected}, got `);
      if (typeof value === "number") expect(message).toContain(`got ${value}`);
    }
  });

  test("the ends of the ranges are in them", async () => {
    await model.generate({ seed: 0, temperature: 0, topK: 0, topP: 1, samples: 1, guidance: 0 });
    await model.generate({
      seed: Number.MAX_SAFE_INTEGER,
      temperature: 100,
      topK: 1e6,
      topP: 1e-9,
      guidance: 100,
    });
  });
});

describe("pictures", () => {
  test("of another size are cropped and scaled, as data and as files", async () => {
    const square = somePicture("large", 50);
    const file = await model.generate({ input: await encodePng(square), seed: 1 });
    // The same square in the middle of a wider picture, whose margins must not count.
    const data = new Float32Array(60 * 50 * 3).fill(1);
    for (let y = 0; y < 50; y++) data.set(square.data.subarray(y * 150, (y + 1) * 150), (y * 60 + 5) * 3);
    const wide = await model.generate({ input: { width: 60, height: 50, data }, seed: 1 });
    const asData = await model.generate({ input: square, seed: 1 });
    expect(wide.codes).toEqual(asData.codes);
    expect(asData.images[0].data.length).toBe(file.images[0].data.length);
    const small = { width: 7, height: 32, data: new Float32Array(7 * 32 * 3) };
    expect(await refusal(model.generate({ input: small }))).toContain(
      "using input: expected at least 8 × 8 pixels, got 7 × 32",
    );
  });

  test("a result may be changed again, at either size", async () => {
    const first = await model.generate({ input: somePicture("large", 50), fullSize: true, seed: 1 });
    const again = await model.generate({ input: first.images[0], fullSize: true, seed: 1 });
    expect([again.images[0].width, again.images[0].height]).toEqual([50, 50]);
    expect((await model.generate({ input: first.images[0], seed: 1 })).images[0].width).toBe(32);
  });

  test("of other types are refused", async () => {
    const short = { width: 32, height: 32, data: new Float32Array(32) };
    expect(await refusal(model.generate({ input: short }))).toContain(
      "expected 3072 values for 32 × 32, got 32",
    );
    for (const nothing of [
      null,
      7,
      {},
      { width: 32, height: 32, data: [...input.data] },
      Symbol("picture"),
    ]) {
      const message = await refusal(model.generate(wrong({ input: nothing })), UsageError);
      expect(message).toContain("using input: expected a path, a file: URL, the bytes of a file, a Blob");
    }
    expect(await refusal(model.generate({ input: join(folder, "missing.png") }))).toContain("missing.png");
    expect(await refusal(model.generate({ input: Buffer.from("no picture") }))).toContain(
      "PNG, JPEG or WebP",
    );
    const half = [pairs[0]!, { input } as Example];
    expect(await refusal(model.compress(half), UsageError)).toContain("using examples[1].output: expected");
  });
});

describe("prompts", () => {
  test("of another model are refused, and named", async () => {
    const foreign = await other.compress(pairs.slice(0, 1));
    const own = await model.compress(pairs.slice(0, 1));
    const message = await refusal(model.generate({ prompt: foreign, input }));
    expect(message).toContain(model.fingerprint);
    expect(message).toContain(foreign.model);
    expect(message).toContain("compress the examples again");
    expect(await refusal(model.generate({ prompt: [own, foreign], input }))).toContain(foreign.model);
  });

  test("that say they are this model's, but are not, are refused too", async () => {
    const { blocks } = await model.compress(pairs.slice(0, 1));
    const [block] = blocks as [(typeof blocks)[number]];
    const layers = block.layers;
    const cut = (values: Float32Array, size = values.length - 4) => values.slice(0, size);
    const shorter = layers.map(({ keys, values }) => ({ keys: cut(keys, 48), values: cut(values, 48) }));
    for (const odd of [
      { ...block, layers: layers.slice(1) },
      { ...block, layers: [...layers, layers[0]!] },
      { ...block, heads: 2 },
      { ...block, length: 2 },
      { ...block, length: 2, layers: shorter }, // two complete slots
      { ...block, layers: layers.map(({ keys, values }) => ({ keys, values: cut(values) })) },
    ])
      await refusal(model.generate({ prompt: VisualPrompt.of(model.fingerprint, [odd]) }));
    await model.generate({ prompt: VisualPrompt.of(model.fingerprint, [block]) });
  });

  test("of other types are refused", async () => {
    const work = {
      generating: (prompt: VisualPrompt) => model.generate({ prompt }),
      describing: (prompt: VisualPrompt) => model.describe({ prompt }),
      scoring: (prompt: VisualPrompt) => model.score({ prompt, output: input }),
    };
    for (const prompt of ["derain.xprompt", {}, 7, [null]])
      for (const [doing, ask] of Object.entries(work))
        expect(await refusal(ask(prompt as never), UsageError)).toContain(`${doing}: prompt: expected`);
  });
});

describe("loading", () => {
  test("a missing folder, an empty one, a file, a name that is not shipped", async () => {
    for (const name of [join(folder, "none"), "nano2", "../models/nano2", "nano/config.json"])
      await refusal(XPrompt.load(name));
    await refusal(XPrompt.load(""), UsageError);
    expect(await refusal(XPrompt.load("mega"))).toContain("loading model mega: expected a model folder");
  });

  test("the fingerprint follows the weights and the sizes, not the place", async () => {
    const copy = join(folder, "copy");
    await cp(join(folder, "tiny"), copy, { recursive: true });
    const described = await describeModel(copy);
    expect(described.fingerprint).toBe(model.fingerprint);
    expect(model.fingerprint).toMatch(/^[0-9a-f]{16}$/);
    expect(other.fingerprint).not.toBe(model.fingerprint);
    const config = JSON.parse(await readFile(join(copy, "config.json"), "utf8"));
    delete config.weights_sha256;
    await writeFile(join(copy, "config.json"), JSON.stringify(config));
    expect((await describeModel(copy)).fingerprint).toBe(model.fingerprint);
    config.rope_theta = 99;
    await writeFile(join(copy, "config.json"), JSON.stringify(config));
    expect((await describeModel(copy)).fingerprint).not.toBe(model.fingerprint);
  });

  test("the description matches the loaded model", async () => {
    const { parameters, picture, decoder, xprompt, memory } = await describeModel(join(folder, "tiny"));
    expect(picture).toEqual({ size: model.size, codes: model.codesPerImage, codebook: 32 });
    expect({ decoder, xprompt }).toEqual({ decoder: model.config.decoder, xprompt: model.config.xprompt });
    expect(parameters.total).toBe(parameters.decoder + parameters.imageTokenizer);
    expect(memory.weights).toBe(4 * parameters.total);
    expect(memory.total).toBe(memory.weights + memory.cache + memory.activations);
  });

  test("tokens that were exchanged make another model, and no model where the configuration has their checksum", async () => {
    const copy = join(folder, "exchanged");
    await cp(join(folder, "tiny"), copy, { recursive: true });
    const path = join(copy, "tokenizer.json");
    const text = await readFile(path, "utf8");
    const names: Record<string, string> = { IMGIMGAZ: "IMGIMGBZ", IMGIMGBZ: "IMGIMGAZ" };
    await writeFile(
      path,
      text.replace(/IMGIMG[AB]Z/g, (name) => names[name]!),
    );
    await expect(XPrompt.load(copy)).rejects.toThrow(
      /tokenizer\.json: expected the checksum in config\.json.*damaged/,
    );
    const { tokenizer_sha256, ...config } = JSON.parse(await readFile(join(copy, "config.json"), "utf8"));
    expect(tokenizer_sha256).toMatch(/^[0-9a-f]{64}$/);
    await writeFile(join(copy, "config.json"), JSON.stringify(config));
    expect((await describeModel(copy)).fingerprint).not.toBe(model.fingerprint);
  });

  test("a folder that cannot be loaded is not described", async () => {
    const copy = join(folder, "broken");
    const broken = async (name: string, change: (json: Record<string, unknown>) => object) => {
      await cp(join(folder, "tiny"), copy, { recursive: true });
      const json = JSON.parse(await readFile(join(copy, name), "utf8"));
      await writeFile(join(copy, name), JSON.stringify(change(json)));
      return refusal(describeModel(copy));
    };
    const config = (change: object) => broken("config.json", (json) => ({ ...json, ...change }));
    expect(await config({ num_hidden_layers: 1 })).toMatch(/layers\.1\..*expected no such weight/);
    expect(await config({ vocab_size: 1 })).toMatch(/expected a tokenizer of 1 tokens/);
    expect(await config({ weights_sha256: "00" })).toMatch(/weights_sha256: expected 64/);
    expect(await broken("tokenizer.json", (json) => ({ ...json, model: {} }))).toMatch(/damaged/);
    await writeFile(join(copy, "preprocessor_config.json"), '{"crop_size": 16, "size": 16}');
    expect(await config({})).toMatch(/expected pictures of 32 × 32, .* got 16 × 16/);
  });

  describe("a damaged folder", () => {
    let copy: string;
    const place = (name: string) => join(copy, name);
    beforeAll(async () => {
      copy = join(folder, "damaged");
      await cp(join(folder, "tiny"), copy, { recursive: true });
    });

    /** Replaces a file of the model by other bytes while `check` runs. */
    async function damaged(name: string, bytes: string | Uint8Array, check: () => Promise<void>) {
      const whole = await readFile(place(name));
      await writeFile(place(name), bytes);
      await check();
      await writeFile(place(name), whole);
    }
    const load = () => XPrompt.load(copy, { threads: 1 });

    test.each(["config.json", "model.safetensors", "tokenizer.json"])(
      "%s missing or cut off",
      async (name) => {
        const whole = await readFile(place(name));
        for (const length of [0, 1, 8, whole.length >> 1, whole.length - 3])
          await damaged(name, whole.subarray(0, length), async () => {
            expect(await refusal(load())).toContain(name);
          });
        await rm(place(name));
        expect(await refusal(load())).toContain(name);
        await writeFile(place(name), whole);
      },
    );

    test("a wrong bit in the weights, wherever", async () => {
      const whole = await readFile(place("model.safetensors"));
      const random = Random.of("weights");
      const places = [
        0,
        7,
        8,
        100,
        whole.length - 1,
        ...Array.from({ length: 5 }, () => random.integer(0, whole.length - 1)),
      ];
      for (const at of places) {
        const flipped = Buffer.from(whole);
        flipped[at]! ^= 1 << random.integer(0, 7);
        await damaged("model.safetensors", flipped, async () => {
          expect(await refusal(load())).toMatch(/model\.safetensors.*damaged/);
        });
      }
    });

    test.each(["config.json", "tokenizer.json"])(
      "wrong bits in %s never break more than the loading",
      async (name) => {
        const whole = await readFile(place(name));
        const random = Random.of("bits", name);
        for (let trial = 0; trial < 60; trial++) {
          const flipped = Buffer.from(whole);
          flipped[random.integer(0, whole.length - 1)]! ^= 1 << random.integer(0, 7);
          await damaged(name, flipped, async () => {
            const loaded = await load().catch((error: unknown) => error);
            if (!(loaded instanceof XPrompt)) return void expect(loaded).toBeInstanceOf(XPromptError);
            // Some bits only change a frequency or a letter: such a model works, and has its own fingerprint.
            await loaded.generate({ input, seed: 1 });
            await loaded.release();
          });
        }
      },
    );

    test.each<[string, unknown, string]>([
      ["vocab_size", 400, "a tokenizer of 400 tokens"],
      ["hidden_size", 32, "embed_tokens.weight: expected a weight [329, 32]"],
      ["intermediate_size", 21, "gate_proj.weight: expected a weight [21, 24]"],
      ["num_hidden_layers", 1, "model.layers.1.input_layernorm.weight: expected no such weight"],
      ["num_hidden_layers", 3, "model.layers.2.input_layernorm.weight: expected a weight"],
      ["num_hidden_layers", 1e9, "num_hidden_layers: expected at most"],
      ["num_attention_heads", 2, "expected num_attention_heads to be a multiple of num_key_value_heads"],
      ["num_key_value_heads", 2, "k_proj.weight: expected a weight [12, 24]"],
      ["max_position_embeddings", 89, "expected max_position_embeddings of at least 101"],
      ["max_position_embeddings", 1e12, "max_position_embeddings: expected at most"],
      ["model_type", "llama", "model_type: expected chameleon"],
      ["vq_config.resolution", 64, "expected xprompt.todo_position of at least 141"],
      ["vq_config.resolution", 2 ** 40, "vq_config.resolution: expected at most"],
      ["vq_config.base_channels", 16, "encoder.conv_in.weight: expected a weight [16, 3, 3, 3]"],
      ["vq_config.channel_multiplier", [1, 1, 1, 2], "down.3.block.0.conv1.weight: expected a weight [16, 8"],
      ["vq_config.num_res_blocks", 1e9, "vq_config.num_res_blocks: expected at most"],
      ["vq_config.num_embeddings", 31, "31 image codes"],
      ["vq_config.norm_groups", 3, "with 3 groups"],
      ["xprompt.tokens", 4, "expected 4 XP tokens"],
      ["xprompt.tokens", 0, "xprompt.tokens: expected at least 1"],
      ["xprompt.todo_position", 44, "expected xprompt.todo_position of at least 45"],
      ["xprompt.todo_position", 1e9, "xprompt.todo_position: expected at most"],
      ["xprompt.max_text_tokens", 9, "expected xprompt.todo_position of at least 49"],
      ["xprompt.more", 1, "xprompt: expected known fields, got more"],
    ])("config.json with %s = %j", async (key, value, says) => {
      const config = JSON.parse(await readFile(place("config.json"), "utf8"));
      const [group, last] = key.includes(".") ? key.split(".") : [undefined, key];
      (group ? config[group] : config)[last] = value;
      await damaged("config.json", JSON.stringify(config), async () => {
        expect(await refusal(load())).toContain(says);
      });
    });

    test("is whole again after all that", async () => {
      await (await load()).release();
    });
  });
});

describe("the shipped model", () => {
  let nano: XPrompt;
  beforeAll(async () => {
    nano = await XPrompt.load("nano");
  });
  afterAll(() => nano.release());

  test("generates 256 codes for 64 × 64 pixels, the same for the same seed", async () => {
    const [before, after, query] = ["a", "b", "c"].map((name) => somePicture(name, 64)) as [
      Image,
      Image,
      Image,
    ];
    const prompt = await nano.compress([{ input: before, output: after, instruction: "make it rain" }]);
    const rows: number[] = [];
    const request = { prompt, input: query, seed: 7, samples: 2, guidance: 2, onePass: false };
    const result = await nano.generate({ ...request, onProgress: ({ row }) => void rows.push(row) });
    expect(rows).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    for (const row of result.codes) {
      expect(row).toHaveLength(256);
      expect(row.every((code) => Number.isInteger(code) && code >= 0 && code < 4096)).toBe(true);
    }
    for (const { width, height } of result.images) expect([width, height]).toEqual([64, 64]);
    const again = await nano.generate(request);
    expect(again.codes).toEqual(result.codes);
    expect(again.images.map(toBytes)).toEqual(result.images.map(toBytes));
    expect((await nano.generate({ ...request, samples: 1 })).codes).toEqual(result.codes.slice(0, 1));
    expect((await nano.generate({ ...request, seed: 8 })).codes).not.toEqual(result.codes);
    expect(await refusal(model.generate({ prompt }))).toContain(nano.fingerprint);
    // It recommends one pass, in which the mean of the codes does not depend on the seed.
    const recommended = await nano.generate({ prompt, input: query, seed: 7 });
    expect(recommended.settings).toMatchObject({ onePass: true, expected: true });
    expect(recommended.steps.runs).toBe(1);
    expect((await nano.generate({ prompt, input: query, seed: 8 })).images).toEqual(recommended.images);
  });
});

describe("release", () => {
  test("may be called twice; anything else afterwards is one clear error", async () => {
    const released = await XPrompt.load(join(folder, "tiny"), { threads: 1 });
    const prompt = await released.compress([pairs[0]!]);
    await released.release();
    await released.release();
    await released[Symbol.asyncDispose]();
    for (const work of [
      () => released.generate({ prompt, input }),
      () => released.compress([pairs[0]!]),
      () => released.describe({ prompt }),
      () => released.reconstruct([input]),
    ])
      expect(await refusal(work())).toMatch(/expected a loaded model, got a released one/);
  });

  test("during a call, ends the call with the same error", async () => {
    const released = await XPrompt.load(join(folder, "tiny"), { threads: 1 });
    const running = released.logits([1, 2, 3]);
    await released.release();
    expect(await refusal(running)).toMatch(/expected a loaded model, got a released one/);
  });

  test("a failed compression of the empty example is tried again", async () => {
    const own = await XPrompt.load(join(folder, "tiny"), { threads: 1 });
    const encode = vi.spyOn(own.base.decoder, "encodeExample").mockRejectedValueOnce(new Error("once"));
    await expect(own.generate({ input, seed: 1 })).rejects.toThrow("once");
    expect((await own.generate({ input, seed: 1 })).images).toHaveLength(1);
    encode.mockRestore();
    await own.release();
  });
});
