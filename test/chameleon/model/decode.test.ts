/** @file Drafts in the decoding loop: whatever is guessed, the tokens are the same. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DecoderConfig } from "../../../src/chameleon/checkpoint/config.ts";
import { Batch } from "../../../src/chameleon/model/batch.ts";
import { type DecodeOptions, type DecodingSteps, decode } from "../../../src/chameleon/model/decode.ts";
import { Decoder } from "../../../src/chameleon/model/decoder.ts";
import type { Guidance, Sequence } from "../../../src/chameleon/model/decoding.ts";
import {
  draftLength,
  type Guess,
  GuessRates,
  MAX_DRAFT,
  runCost,
} from "../../../src/chameleon/model/draft.ts";
import { decoderParameters } from "../../../src/chameleon/model/parameters.ts";
import { Random } from "../../../src/random.ts";
import { randomWeights, tiny } from "../../fixtures/chameleon/kit.ts";

const config: DecoderConfig = { ...tiny, vocabularySize: 40 };
const LENGTH = 24;
let decoder: Decoder;
beforeAll(async () => {
  decoder = await Decoder.create(config, randomWeights(decoderParameters(config), 4), { threads: 1 });
});
afterAll(() => decoder.release());

/** Twenty tokens at most places; every seventh place leaves no choice. */
const FORCED = 7;
const some = Int32Array.from({ length: 20 }, (_, i) => 10 + i);
const only = Int32Array.of(35);
const none = new Int32Array();

class Guessed implements Sequence {
  readonly tokens: number[] = [];
  readonly random: Random;
  readonly prefix = { blocks: [], tokens: [1, 2, 3], position: 0 };
  readonly guidance: Guidance;

  constructor(
    seed: number,
    private readonly guessOf: (place: number) => number | undefined,
  ) {
    this.random = Random.of(seed);
    const weights = seed % 3 === 0 ? [] : [1 + (seed % 4)];
    const other = { blocks: [], tokens: [4, 5], position: 0 };
    this.guidance = { conditions: weights.length > 0 ? [other, null] : [null], weights };
  }

  get allowed(): Int32Array {
    const { length } = this.tokens;
    if (length >= LENGTH) return none;
    return length % FORCED === FORCED - 1 ? only : some;
  }

  guess(ahead: number): Guess | undefined {
    const token = this.guessOf(this.tokens.length + ahead);
    return token === undefined ? undefined : { token, kind: "test" };
  }

  take(token: number): void {
    this.tokens.push(token);
  }
}

async function decoded(
  sequences: readonly Guessed[],
  batch = new Batch(decoder),
  options: Partial<DecodeOptions> = {},
) {
  const steps: DecodingSteps = { runs: 0, drafted: 0, accepted: 0 };
  const sampling = { temperature: 1, topK: 0, topP: 1 };
  const all = { doing: "testing", sampling, maxTokens: LENGTH, steps, ...options };
  for await (const _ of decode(batch, sequences, all));
  return { tokens: sequences.map(({ tokens }) => tokens), steps };
}

const nothing = () => undefined;
/** The tokens of a seed without drafts. */
const truthOf = async (seed: number) => (await decoded([new Guessed(seed, nothing)])).tokens[0]!;

describe("tokens do not depend on the guesses", () => {
  test.each([0.2, 0.8, 1])("right at a rate of %f", async (rate) => {
    const random = Random.of("guesses", rate);
    const batch = new Batch(decoder, { maxRows: 12 });
    const counts = { drafted: 0, accepted: 0 };
    await Promise.all(
      Array.from({ length: 24 }, async (_, request) => {
        const seeds = Array.from({ length: 1 + (request % 3) }, (_, i) => 3 * request + i);
        const truths = await Promise.all(seeds.map(truthOf));
        const sequences = seeds.map(
          (seed, i) =>
            new Guessed(seed, (place) => (random.chance(rate) ? truths[i]![place] : random.integer(0, 39))),
        );
        const { tokens, steps } = await decoded(sequences, request % 2 === 0 ? batch : undefined);
        expect(tokens).toEqual(truths);
        counts.drafted += steps.drafted;
        counts.accepted += steps.accepted;
      }),
    );
    if (rate === 1) expect(counts.accepted).toBeGreaterThan(0.4 * counts.drafted);
    if (rate === 0.8) expect(counts.drafted - counts.accepted).toBeGreaterThan(20);
    expect(counts.accepted).toBeGreaterThan(5);
  });

  test("right guesses take few runs; without drafts each choice takes one", async () => {
    const truth = await truthOf(9);
    const guessed = () => new Guessed(9, (place) => truth[place]);
    const choices = truth.filter((_, place) => place % FORCED !== FORCED - 1).length;
    expect((await decoded([guessed()], undefined, { draft: false })).steps).toEqual({
      runs: choices - 1,
      drafted: 0,
      accepted: 0,
    });
    const { tokens, steps } = await decoded([guessed()]);
    expect(tokens).toEqual([truth]);
    expect(steps.runs).toBeLessThan(choices / 3);
  });

  test("random numbers are used in order, one for each choice", async () => {
    const spent = new Guessed(5, nothing);
    await decoded([spent]);
    const fresh = Random.of(5);
    const choices = spent.tokens.filter((_, place) => place % FORCED !== FORCED - 1).length;
    for (let i = 0; i < choices; i++) fresh.uniform();
    expect(spent.random.uniform()).toBe(fresh.uniform());
  });
});

describe("the length of a draft", () => {
  const rateAfter = (isRight: boolean, count: number) => {
    const rates = new GuessRates();
    for (let i = 0; i < count; i++) rates.add("kind", isRight);
    return rates.of("kind");
  };
  const always = (rate: number) => Array<number>(MAX_DRAFT).fill(rate);

  test("rates follow the guesses of their kind, the latest most", () => {
    expect(rateAfter(true, 40)).toBeGreaterThan(0.95);
    expect(rateAfter(false, 40)).toBeLessThan(0.05);
    const rates = new GuessRates();
    for (const isRight of [true, true, true, false, false, false]) rates.add("kind", isRight);
    const start = new GuessRates().of("kind");
    expect(rates.of("kind")).toBeLessThan(start);
    expect(rates.of("another")).toBe(start);
  });

  const share = (ownRows: number, rows: number, runCost = 20) => ({ ownRows, rows, runCost });

  test("is nothing where guesses are wrong, and all where they are right", () => {
    expect(draftLength([always(0.02)], share(1, 1))).toBe(0);
    expect(draftLength([always(1)], share(1, 1))).toBe(MAX_DRAFT);
    expect(draftLength([[1, 1, 1]], share(1, 1))).toBe(3);
    expect(draftLength([[1, 1, 0.01, 1]], share(1, 1))).toBe(2);
    expect(draftLength([], share(1, 1))).toBe(0);
  });

  test("is shorter where more rows share a run, or a run costs less by itself", () => {
    const alone = draftLength([always(0.9)], share(1, 1));
    expect(draftLength([always(0.9)], share(4, 4))).toBeLessThan(alone);
    expect(draftLength([always(0.9)], share(1, 1, 2))).toBeLessThan(alone);
    expect(runCost({ ...tiny, quantization: { bits: 4, blockSize: 32 } })).toBeLessThan(runCost(tiny));
  });

  test("is nothing while others share the runs", () => {
    expect(draftLength([always(1)], share(1, 2))).toBe(0);
  });

  test("serves the sequences of a request together", () => {
    const [likely, wrong] = [always(0.9), always(0)];
    expect(draftLength([likely, wrong], share(2, 2))).toBeLessThan(
      draftLength([likely, likely], share(2, 2)),
    );
  });
});
