/** @file Concurrent requests in a batch: results as for single requests, waiting, and release of resources. */
import { afterAll, describe, expect, test, vi } from "vitest";
import { UsageError, XPromptError } from "../../src/errors.ts";
import type { ByteImage, Image } from "../../src/image/index.ts";
import { Random } from "../../src/random.ts";
import { Batcher } from "../../src/xprompt/batcher.ts";
import type { Generated, GenerateOptions, GenerateStep } from "../../src/xprompt/model.ts";
import { openTinyModel, somePicture } from "../fixtures/xprompt/kit.ts";

const { model, close } = await openTinyModel();
afterAll(close);

const pair = (name: string) => ({
  input: somePicture(`before ${name}`),
  output: somePicture(`after ${name}`),
});
const prompts = await Promise.all(["a", "b"].map((name) => model.compress([pair(name)])));
const input = somePicture("query");

test("a released batcher refuses full size before any work", async () => {
  const batcher = new Batcher(model);
  await batcher.release();
  const refusal = {
    code: "ERR_RELEASED",
    message: "generating at full size: expected an open batcher, got a released one (make another)",
  };
  await expect(batcher.generate({ prompt: prompts[0], input, fullSize: true })).rejects.toMatchObject(
    refusal,
  );
  expect((await batcher.generate({ prompt: prompts[0], input, seed: 1 })).images).toHaveLength(1);
});

/** A random request: settings, size and conditions vary. */
function someRequest(random: Random, seed: number): GenerateOptions {
  return {
    seed,
    samples: random.integer(1, 3),
    temperature: random.pick([0, 0.7, 1.3]),
    topP: random.pick([0.8, 1]),
    guidance: random.pick([1, 3, { image: 1.5, text: 2, examples: 2.5 }]),
    prompt: prompts.slice(0, random.integer(0, 2)),
    ...(random.chance(0.7) && { input: somePicture(`query ${seed}`) }),
    ...(random.chance(0.5) && { instruction: "make it rain" }),
  };
}

/** Counts the forward passes of steps, without those of prefills. */
const counted = async <T>(work: () => Promise<T>) => {
  const step = vi.spyOn(model.base.decoder, "forwardEach");
  try {
    return { result: await work(), runs: step.mock.calls.length };
  } finally {
    step.mockRestore();
  }
};

async function resultOf(
  steps: AsyncIterable<GenerateStep<Image | ByteImage>>,
): Promise<Generated<Image | ByteImage>> {
  let found: Generated<Image | ByteImage> | undefined;
  for await (const { result } of steps) found = result;
  return found!;
}

describe("the same pictures as alone", () => {
  test.each([1, 2, 3])("when requests join, pause and leave at random (%i)", async (seed) => {
    const random = Random.of("joins", seed);
    const batcher = new Batcher(model, { maxRows: 200 });
    const requests = Array.from({ length: 10 }, (_, i) => someRequest(random, i));
    const expected: number[][][] = [];
    for (const request of requests)
      expected.push((await model.generate(request)).codes.map((row) => [...row]));
    let next = 0;
    const open = new Map<number, AsyncGenerator<GenerateStep<Image | ByteImage>>>();
    const found = new Map<number, Generated<Image | ByteImage>>();
    let left = 0;
    while (next < requests.length || open.size > 0) {
      if (next < requests.length && (open.size === 0 || random.chance(0.3)))
        open.set(next, batcher.stream(requests[next++]!));
      // Some requests proceed while others wait; now and then one is abandoned.
      const some = [...open].filter(() => random.chance(0.7));
      await Promise.all(
        some.map(async ([i, steps]) => {
          const { value, done } = await steps.next();
          if (!done && value.result) found.set(i, value.result);
          if (!done && value.result === undefined && !random.chance(0.01)) return;
          if (!done && value.result === undefined) left++;
          await steps.return(undefined);
          open.delete(i);
        }),
      );
    }
    expect(found.size + left).toBe(requests.length);
    expect(found.size).toBeGreaterThan(5);
    for (const [i, { codes }] of found) expect(codes, `request ${i}`).toEqual(expected[i]);
  });

  test("at the cost of one: requests of one length share every step", async () => {
    const requests = [1, 2, 3, 4].map((seed) => ({ prompt: prompts[0]!, input, seed, draft: false }));
    const one = await counted(() => model.generate(requests[0]!));
    const batcher = new Batcher(model);
    const { result, runs } = await counted(async () => {
      const streams = requests.map((each) => batcher.stream(each));
      // All are prefilled before the first step, because the number of prefill runs may differ.
      await Promise.all(streams.map((steps) => steps.next()));
      return Promise.all(streams.map(resultOf));
    });
    expect(result[0]!.codes).toEqual(one.result.codes);
    expect(result[0]!.images).toEqual(one.result.images);
    expect(new Set(result.map(({ codes }) => codes.join())).size).toBe(4);
    expect(one.runs).toBe(model.codesPerImage - 1);
    // Only the first and the last steps may be separate.
    expect(runs).toBeLessThan(2 * one.runs);
  });

  test("of another batch when one fails", async () => {
    const batcher = new Batcher(model);
    const failing = batcher.generate({
      prompt: prompts[0]!,
      input,
      seed: 1,
      onProgress: () => {
        throw new Error("no more");
      },
    });
    const other = batcher.generate({ prompt: prompts[1]!, input, seed: 2 });
    await expect(failing).rejects.toThrow("no more");
    const { codes } = await model.generate({ prompt: prompts[1]!, input, seed: 2 });
    expect((await other).codes).toEqual(codes);
  });
});

describe("limits", () => {
  const request = (seed: number, more: Partial<GenerateOptions> = {}): GenerateOptions => ({
    prompt: prompts[0]!,
    input,
    guidance: 1,
    seed,
    ...more,
  });

  test("a request of more rows than the limit is served by itself", async () => {
    const batcher = new Batcher(model, { maxRows: 2 });
    const results = await Promise.all([
      batcher.generate(request(1)),
      batcher.generate(request(2, { samples: 5 })),
      batcher.generate(request(3)),
    ]);
    expect(results.map(({ codes }) => codes.length)).toEqual([1, 5, 1]);
    expect(results[1]!.codes).toEqual((await model.generate(request(2, { samples: 5 }))).codes);
  });

  test("a request of more bytes than the limit is refused, others go on", async () => {
    const batcher = new Batcher(model, { maxBytes: 100_000 });
    await expect(batcher.generate(request(1, { samples: 64 }))).rejects.toThrow(XPromptError);
    await expect(batcher.generate(request(1, { samples: 64 }))).rejects.toThrow(
      /^generating: expected at most 97\.7 KiB for a batch, got .* for 64 sequences of \d+ tokens, .*raise the byte limit of the batch\)$/,
    );
    expect((await batcher.generate(request(1))).codes).toHaveLength(1);
  });

  test("an aborted request leaves the queue at once, and the batch at its next step", async () => {
    const batcher = new Batcher(model, { maxRows: 1 });
    const [first, second] = [new AbortController(), new AbortController()];
    const reason = new Error("enough");
    let steps = 0;
    let last: Promise<Generated<Image | ByteImage>> | undefined;
    const running = batcher.generate(
      request(1, {
        signal: first.signal,
        onProgress: async () => {
          if (++steps === 2) first.abort(reason);
          if (steps > 1) return;
          // The running request pauses here and holds the only row, so the others must wait.
          const waiting = batcher.generate(request(2, { signal: second.signal }));
          last = batcher.generate(request(3));
          second.abort(reason);
          await expect(waiting).rejects.toBe(reason);
        },
      }),
    );
    await expect(running).rejects.toBe(reason);
    expect(steps).toBe(2);
    expect((await last!).codes).toEqual((await model.generate(request(3))).codes);
  });

  test("options out of range are refused", () => {
    for (const [options, message] of [
      [{ maxRows: 0 }, "batching: maxRows: expected a whole number from 1, got 0"],
      [{ maxBytes: 1.5 }, "batching: maxBytes: expected a whole number from 1, got 1.5"],
      [{ rows: 3 }, 'did you mean "maxRows"?'],
    ] as const) {
      expect(() => new Batcher(model, options as object)).toThrow(UsageError);
      expect(() => new Batcher(model, options as object)).toThrow(message);
    }
  });
});

describe("compressed examples are kept by their content", () => {
  const example = pair("kept");
  const encodings = async (batcher: Batcher, requests: readonly GenerateOptions[]) => {
    const encode = vi.spyOn(model.base.decoder, "encodeExample");
    try {
      const results = await Promise.all(requests.map((each) => batcher.generate(each)));
      return { calls: encode.mock.calls.length, results };
    } finally {
      encode.mockRestore();
    }
  };
  const asked = (examples = [example]): GenerateOptions => ({ examples, input, seed: 4 });

  test("the same pixels are compressed once, other words or pixels again", async () => {
    const batcher = new Batcher(model);
    await batcher.generate({ input, seed: 1 }); // the empty example
    const copy = { ...example, input: { ...example.input, data: example.input.data.slice() } };
    const { calls, results } = await encodings(batcher, [asked(), asked([copy]), asked()]);
    expect(calls).toBe(1);
    const { codes } = await model.generate(asked());
    for (const result of results) expect(result.codes).toEqual(codes);
    expect((await encodings(batcher, [asked()])).calls).toBe(0);
    const prompt = await batcher.compress([example]);
    expect((await encodings(batcher, [{ prompt, input, seed: 4 }])).results[0]!.codes).toEqual(codes);
    const others = [{ ...example, instruction: "make it rain" }, pair("another")];
    expect((await encodings(batcher, [asked(others)])).calls).toBe(2);
  });

  test("those that were not used for longest make room", async () => {
    const { blocks } = await model.compress([example]);
    const bytes = blocks[0]!.layers.reduce(
      (sum, { keys, values }) => sum + keys.byteLength + values.byteLength,
      0,
    );
    const batcher = new Batcher(model, { cacheBytes: 2 * bytes });
    await batcher.generate({ input, seed: 1 });
    const [a, b, c] = ["a", "b", "c"].map((name) => asked([pair(name)]));
    for (const [request, calls] of [
      [a, 1],
      [b, 1],
      [a, 0],
      [c, 1],
      [a, 0],
      [b, 1],
    ] as const)
      expect((await encodings(batcher, [request!])).calls).toBe(calls);
  });

  test("0 bytes keep none", async () => {
    const batcher = new Batcher(model, { cacheBytes: 0 });
    await batcher.generate({ input, seed: 1 });
    expect((await encodings(batcher, [asked()])).calls).toBe(1);
    expect((await encodings(batcher, [asked()])).calls).toBe(1);
  });
});
