/** @file Held-out loss against the same contexts assembled by hand. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import { loadTokenizers, type Tokenizers } from "../../../src/chameleon/checkpoint/folder.ts";
import { exportOnnx, Graph, parameterShapes } from "../../../src/graph/index.ts";
import { createImage, savePng } from "../../../src/image/index.ts";
import { floats, Session } from "../../../src/runtime/session.ts";
import { TrainingState } from "../../../src/training/run/state.ts";
import type { Context } from "../../../src/training/transformer/context.ts";
import { encodedContexts } from "../../../src/training/transformer/contexts.ts";
import { type ContextOptions, packBatch, packingOf } from "../../../src/training/transformer/data.ts";
import { HeldOut, heldOutContexts } from "../../../src/training/transformer/held-out.ts";
import { feedsOf, objective } from "../../../src/training/transformer/objective.ts";
import type { Codes } from "../../../src/xprompt/sequence.ts";
import { randomWeights, tiny, tinyXPrompt, writeTinyTokenizers } from "../../fixtures/chameleon/kit.ts";
import { plainMix } from "./kit.ts";

let folder = "";
let tokenizers: Tokenizers;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-held-out-"));
  await writeTinyTokenizers(join(folder, "tokenizers"));
  tokenizers = await loadTokenizers(join(folder, "tokenizers"), { threads: 1 });
});
afterAll(async () => {
  await tokenizers.image.release();
  await rm(folder, { recursive: true });
});

/** Options of contexts of families. */
function optionsOf(contexts: number): ContextOptions {
  return {
    seed: 2,
    part: "held out",
    tokenizers: join(folder, "tokenizers"),
    xprompt: tinyXPrompt,
    contexts,
    todos: 2,
    weights: { target: 1, words: 1, query: 0, instruction: 0 },
    mix: { ...plainMix, exampleInstruction: 0.5 },
  };
}

/** A small model and its held-out loss. */
function modelOf(options: ContextOptions) {
  const config: DecoderConfig = { ...tiny, vocabularySize: tokenizers.text.vocabulary.size };
  const graph = new Graph();
  const { targetNll } = objective(graph, packingOf(options, 1, 4), config, { zLoss: 0 }).report!;
  const weights = randomWeights(parameterShapes(graph));
  const state = new TrainingState(parameterShapes(graph));
  for (const [name, { data }] of weights) state.values(name).set(data);
  return { targetNll: targetNll!, weights, state };
}

test.each([
  ["two contexts a batch", 2],
  ["one context a batch", 1],
])("measures with the right example, another context's and none: %s", async (_name, contexts) => {
  const options = optionsOf(contexts);
  const { targetNll, weights, state } = modelOf(options);
  const batches = [
    await encodedContexts(0, options, tokenizers),
    await encodedContexts(1, options, tokenizers),
  ];
  const all = batches.flatMap((batch) => batch.contexts);
  const session = await Session.create(exportOnnx({ nll: targetNll }, { weights }), { threads: 1 });
  const nats = async (examplesOf: (context: Context<Codes>, index: number) => Context<Codes>["examples"]) => {
    let total = 0;
    for (const [i, batch] of batches.entries()) {
      const shown = batch.contexts.map((context, j) => ({
        ...context,
        examples: examplesOf(context, i * contexts + j),
      }));
      const feeds = Object.entries(
        feedsOf(packBatch({ kind: "changes", contexts: shown }, options, tokenizers)),
      );
      const wanted = feeds.filter(([name]) => session.inputNames.includes(name));
      total += floats((await session.run(Object.fromEntries(wanted))).nll!)[0]!;
    }
    return total / batches.length;
  };
  const expected = {
    "some.right": await nats(({ examples }) => examples),
    "some.wrong": await nats((_context, index) => all[(index + 1) % all.length]!.examples),
    "some.none": await nats(() => [null]),
  };
  const drawn = await heldOutContexts({ some: options }, 2, tokenizers);
  const heldOut = await HeldOut.prepare(drawn, options, tokenizers, targetNll, { threads: 1 });
  const measured = await heldOut.measure(state.feeds());
  expect(Object.keys(measured)).toEqual(Object.keys(expected));
  for (const [name, value] of Object.entries(expected)) expect(measured[name], name).toBeCloseTo(value, 4);
  expect(new Set(Object.values(measured).map((value) => value.toFixed(2))).size).toBe(3);
  await heldOut.release();
  await session.release();
});

test("a single context has no wrong example; the wrong example for pairs comes from a family", async () => {
  const pairs = join(folder, "pairs");
  for (const side of ["input", "output"]) await mkdir(join(pairs, side), { recursive: true });
  for (let i = 0; i < 6; i++)
    for (const [side, level] of [
      ["input", 0.1 * i],
      ["output", 1 - 0.1 * i],
    ] as const) {
      const image = createImage(16, 16);
      image.data.fill(level);
      await savePng(join(pairs, side, `${i}.png`), image);
    }
  const single = optionsOf(1);
  const ofPairs = {
    ...single,
    mix: { ...single.mix, pairs: [pairs], pairsShare: 1, pairsHeldOut: 0.01, families: ["rotate"] },
  };
  const { targetNll, state } = modelOf(single);
  const measure = async (kinds: Record<string, ContextOptions>) => {
    const drawn = await heldOutContexts(kinds, 1, tokenizers);
    const heldOut = await HeldOut.prepare(drawn, single, tokenizers, targetNll, { threads: 1 });
    const measured = await heldOut.measure(state.feeds());
    await heldOut.release();
    return measured;
  };
  const measured = await measure({ some: single, pairs: ofPairs });
  expect(Object.keys(measured)).toEqual([
    ...["some.right", "some.none"],
    ...["pairs.right", "pairs.wrong", "pairs.none"],
  ]);
  expect(measured["pairs.wrong"]).not.toBeCloseTo(measured["pairs.right"]!, 4);
  const other = { ...ofPairs, mix: { ...ofPairs.mix, families: ["invert"] } };
  const again = await measure({ pairs: other });
  expect(again["pairs.right"]).toBe(measured["pairs.right"]);
  expect(again["pairs.wrong"]).not.toBe(measured["pairs.wrong"]);
  const ofIcons = { ...ofPairs, mix: { ...ofPairs.mix, families: ["iconStyle", "iconHue"] } };
  expect(await measure({ pairs: ofIcons })).toHaveProperty(["pairs.wrong"]);
});
