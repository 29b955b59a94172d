/** @file Draft and verify: the codes are those of one run per code, in fewer runs. */
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { convertModel } from "../../src/chameleon/convert/convert.ts";
import { Random } from "../../src/random.ts";
import { Batcher } from "../../src/xprompt/batcher.ts";
import { type GenerateOptions, XPrompt } from "../../src/xprompt/model.ts";
import { openTinyModel, somePicture } from "../fixtures/xprompt/kit.ts";

const { folder, model, close } = await openTinyModel();
afterAll(close);

const names = ["a", "b"];
const prompts = await Promise.all(
  names.map((name) =>
    model.compress([{ input: somePicture(`before ${name}`), output: somePicture(`after ${name}`) }]),
  ),
);

/** A request whose settings, conditions and number of samples follow from the seed. */
function someRequest(seed: number): GenerateOptions {
  const random = Random.of("requests", seed);
  return {
    seed,
    samples: random.integer(1, 3),
    temperature: random.pick([0, 0.1, 0.5, 1]),
    topP: random.pick([0.5, 0.9, 1]),
    topK: random.pick([0, 0, 4]),
    guidance: random.pick([1, 2, { image: 1.5, text: 2, examples: 2.5 }]),
    prompt: prompts.slice(0, random.integer(0, 2)),
    ...(random.chance(0.7) && { input: somePicture(`query ${seed}`) }),
    ...(random.chance(0.5) && { instruction: "make it rain" }),
  };
}

const REQUESTS = 200;
const AT_ONCE = 8;

test("200 requests have the same codes with drafts and without, alone and in a batch", async () => {
  const counts = { sequential: 0, runs: 0, drafted: 0, accepted: 0 };
  for (let start = 0; start < REQUESTS; start += AT_ONCE) {
    const requests = Array.from({ length: AT_ONCE }, (_, i) => someRequest(start + i));
    const together = (draft: boolean) => {
      const batcher = new Batcher(model, { maxRows: 100 });
      return Promise.all(requests.map((request) => batcher.generate({ ...request, draft })));
    };
    const [sequential, drafted] = [await together(false), await together(true)];
    for (const [i, request] of requests.entries()) {
      const { codes, steps } = sequential[i]!;
      const alone = await model.generate(request);
      expect(alone.codes, `request ${start + i}`).toEqual(codes);
      expect(drafted[i]!.codes, `request ${start + i} in a batch`).toEqual(codes);
      expect(steps).toEqual({ runs: model.codesPerImage - 1, drafted: 0, accepted: 0 });
      counts.sequential += steps.runs;
      counts.runs += alone.steps.runs;
      counts.drafted += alone.steps.drafted;
      counts.accepted += alone.steps.accepted;
    }
  }
  // Guesses were right and wrong, many times each.
  expect(counts.accepted).toBeGreaterThan(50);
  expect(counts.drafted - counts.accepted).toBeGreaterThan(50);
  expect(counts.runs).toBeLessThan(counts.sequential);
});

describe("what drafting tells and leaves alone", () => {
  const request = someRequest(3);

  test("each sample and step is the same", async () => {
    const stepsOf = async (options: GenerateOptions) => {
      const seen: (readonly (readonly number[])[])[] = [];
      for await (const { codes, result } of model.stream(options)) if (!result) seen.push(codes);
      return seen;
    };
    const drafted = await stepsOf({ ...request, samples: 3 });
    expect(drafted).toHaveLength(model.codesPerImage);
    expect(drafted).toEqual(await stepsOf({ ...request, samples: 3, draft: false }));
  });

  test("so are expected pictures", async () => {
    const expected = { ...request, expected: true };
    const [drafted, sequential] = [
      await model.generate(expected),
      await model.generate({ ...expected, draft: false }),
    ];
    const differences = drafted.images[0].data.map((value, i) =>
      Math.abs(value - sequential.images[0].data[i]!),
    );
    expect(Math.max(...differences)).toBeLessThan(1e-4);
  });

  test("runs and right guesses add up to the codes after the first", async () => {
    const { steps } = await model.generate({ ...request, samples: 1 });
    expect(steps.runs + steps.accepted).toBe(model.codesPerImage - 1);
    expect(steps.drafted).toBeGreaterThanOrEqual(steps.accepted);
  });
});

test("by default, drafts are on with plain weights and off with quantized ones", async () => {
  const output = join(folder, "int4");
  await convertModel(folder, { format: "int4", output, threads: 0 });
  await using quantized = await XPrompt.load(output, { threads: 1 });
  const request = { input: somePicture("query"), seed: 1, temperature: 0.1 };
  const drafts = async (by: XPrompt, draft?: boolean) =>
    (await by.generate({ ...request, draft })).steps.drafted > 0;
  expect([await drafts(quantized), await drafts(quantized, true)]).toEqual([false, true]);
  expect([await drafts(model), await drafts(model, false)]).toEqual([true, false]);
});
