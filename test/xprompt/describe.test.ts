/** @file Descriptions, compared with the logits of the training graph for the same example and words. */
import { afterAll, describe, expect, test } from "vitest";
import { readWeights } from "../../src/chameleon/checkpoint/folder.ts";
import { UsageError } from "../../src/errors.ts";
import { packBatch } from "../../src/training/transformer/data.ts";
import { feedsOf } from "../../src/training/transformer/objective.ts";
import type { Example } from "../../src/xprompt/model.ts";
import { exampleRows } from "../../src/xprompt/packing.ts";
import { MOST_WORDS } from "../../src/xprompt/sequence.ts";
import { asFeeds, packedLogits } from "../fixtures/chameleon/kit.ts";
import { openTinyModel, somePicture } from "../fixtures/xprompt/kit.ts";
import { evaluate } from "../graph/kit.ts";

const { folder, model, tokenizers, close } = await openTinyModel();
afterAll(close);

const pair = (name: string) => ({
  input: somePicture(`before ${name}`),
  output: somePicture(`after ${name}`),
});

describe("describe", () => {
  test("takes the most likely token each time, by the logits of the training graph", async () => {
    const { vocabulary } = tokenizers.text;
    const allowed = [...vocabulary.textTokens, vocabulary.eos];
    const weights = { target: 1, words: 1, query: 1, instruction: 1 };
    const { xprompt, decoder } = model.config;
    const stored = await readWeights(folder, undefined, (key) => !key.includes("vqmodel"));
    const { input, output } = pair("a");
    const [before, after] = await tokenizers.image.encode([input, output]);
    const example = { input: before!, output: after!, instruction: [] };
    // The training graph predicts each token from the words so far.
    const words: number[] = [];
    for (let done = false; !done && words.length < MOST_WORDS; ) {
      const context = { examples: [example], todos: [{ instruction: [], target: { words } }] };
      const batch = packBatch(
        { kind: "descriptions", contexts: [context] },
        { xprompt, weights },
        tokenizers,
      );
      const graph = { logits: packedLogits(batch.packing, decoder) };
      const { logits } = await evaluate(graph, asFeeds(feedsOf(batch)), stored);
      const row = exampleRows(batch.packing) + 1 + words.length;
      const at = (token: number) => logits.data[row * decoder.vocabularySize + token]!;
      const best = allowed.reduce((most, token) => (at(token) > at(most) ? token : most));
      done = best === vocabulary.eos;
      if (!done) words.push(best);
    }
    expect(words.length).toBeGreaterThan(2);
    expect(await model.describe({ input, output })).toBe(tokenizers.text.decode(words).trim());
  });

  test("gives the same for a prompt as for its examples", async () => {
    const example: Example = pair("a");
    const prompt = await model.compress([example]);
    expect(await model.describe({ prompt })).toBe(await model.describe(example));
  });

  test("with a temperature, the same seed gives the same words and another seed others", async () => {
    const say = (seed: number) => model.describe(pair("a"), { seed, temperature: 1 });
    expect(await say(1)).toBe(await say(1));
    expect(new Set(await Promise.all([1, 2, 3].map(say))).size).toBe(3);
  });

  test("refuses options out of range, and an empty list of examples", async () => {
    await expect(model.describe(pair("a"), { temperature: -1 })).rejects.toThrow(UsageError);
    await expect(model.describe({ prompt: [] })).rejects.toThrow(/expected at least one example, got none/);
  });

  test("stops when it is asked to", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(model.describe(pair("a"), { signal })).rejects.toThrow("enough");
  });
});
