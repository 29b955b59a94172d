/** @file Scores of pictures, compared with the logits of the training graph for the same request and picture. */
import { afterAll, expect, test } from "vitest";
import { readWeights } from "../../src/chameleon/checkpoint/folder.ts";
import { packBatch } from "../../src/training/transformer/data.ts";
import { feedsOf } from "../../src/training/transformer/objective.ts";
import { exampleRows } from "../../src/xprompt/packing.ts";
import { asFeeds, packedLogits } from "../fixtures/chameleon/kit.ts";
import { openTinyModel, somePicture } from "../fixtures/xprompt/kit.ts";
import { evaluate } from "../graph/kit.ts";

const { folder, model, tokenizers, close } = await openTinyModel();
afterAll(close);

const [before, after, query, truth] = ["before", "after", "query", "truth"].map((name) => somePicture(name));

/** What the model is given besides the truth. */
interface Given {
  readonly example?: true;
  readonly query?: true;
  readonly instruction?: readonly number[];
}

/** −log p of the truth's codes by the training graph, with a softmax over the image tokens only. */
async function expected(given: Given): Promise<number[]> {
  const { instruction = [] } = given;
  const { vocabulary } = tokenizers.text;
  const { xprompt, decoder } = model.config;
  const stored = await readWeights(folder, undefined, (key) => !key.includes("vqmodel"));
  const codes = await tokenizers.image.encode([before!, after!, query!, truth!]);
  const [input, output, asked, picture] = codes as [Int32Array, Int32Array, Int32Array, Int32Array];
  const context = {
    examples: [given.example ? { input, output, instruction: [] } : null],
    todos: [{ ...(given.query && { input: asked }), instruction, target: { picture } }],
  };
  const weights = { target: 1, words: 1, query: 1, instruction: 1 };
  const batch = packBatch({ kind: "changes", contexts: [context] }, { xprompt, weights }, tokenizers);
  const graph = { logits: packedLogits(batch.packing, decoder) };
  const { logits } = await evaluate(graph, asFeeds(feedsOf(batch)), stored);
  const queryLength = given.query ? asked.length + 2 : 0;
  const first = exampleRows(batch.packing) + 1 + instruction.length + queryLength;
  return Array.from(picture, (code, i) => {
    const at = (token: number) => logits.data[(first + i) * decoder.vocabularySize + token]!;
    const all = Array.from(vocabulary.imageTokens, (token) => Math.exp(at(token)));
    return Math.log(all.reduce((a, b) => a + b)) - at(vocabulary.imageTokens[code]!);
  });
}

const isClose = (actual: readonly number[], wanted: readonly number[]) => {
  expect(actual).toHaveLength(wanted.length);
  for (const [i, value] of wanted.entries()) expect(actual[i]).toBeCloseTo(value, 2);
};

test("with an example, the scores equal those of the training graph", async () => {
  const prompt = await model.compress([{ input: before!, output: after! }]);
  const nats = await model.score({ prompt, input: query!, output: truth! });
  isClose(nats, await expected({ example: true, query: true }));
  expect(Math.max(...nats) - Math.min(...nats)).toBeGreaterThan(0.5);
});

test("without an example the empty one is seen, and the instruction is read", async () => {
  const nats = await model.score({ input: query!, output: truth!, instruction: "make it rain" });
  const instruction = tokenizers.text.encode("make it rain").slice(0, model.config.xprompt.maxTextTokens);
  isClose(nats, await expected({ query: true, instruction }));
  isClose(await model.score({ input: query!, output: truth! }), await expected({ query: true }));
});

test("without an input picture, only the instruction is used", async () => {
  const nats = await model.score({ output: truth!, instruction: "make it rain" });
  isClose(nats, await expected({ instruction: tokenizers.text.encode("make it rain") }));
});
