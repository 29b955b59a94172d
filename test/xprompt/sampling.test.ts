/** @file Sampling and guidance, compared with their definitions, written independently here. */
import { describe, expect, test } from "vitest";
import type { CacheBlock } from "../../src/chameleon/model/cache.ts";
import { guide, type Sampling, sample } from "../../src/chameleon/model/sampling.ts";
import { Random } from "../../src/random.ts";
import { type GuidanceWeights, guidanceConditions } from "../../src/xprompt/guidance.ts";
import type { EncodedQuery } from "../../src/xprompt/sequence.ts";

const plain: Sampling = { temperature: 1, topK: 0, topP: 1 };

/** Logits with repeated values, so that ties occur. */
const logitsOf = (random: Random, size: number): Float32Array =>
  Float32Array.from({ length: size }, () => random.integer(-8, 8) / 4);

/** The probabilities by the definition of the settings. */
function probabilities(logits: Float32Array, { temperature, topK, topP }: Sampling): number[] {
  const softmax = (among: readonly boolean[]): number[] => {
    const powers = Array.from(logits, (logit, i) => (among[i] ? Math.exp(logit / temperature) : 0));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  };
  const before = (j: number, i: number) => logits[j]! > logits[i]! || (logits[j] === logits[i] && j < i);
  const all = Array.from(logits, () => true);
  const likeliest = Array.from(
    logits,
    (_, i) => topK === 0 || all.filter((_, j) => before(j, i)).length < topK,
  );
  const shares = softmax(likeliest);
  const nucleus = Array.from(logits, (_, i) => {
    const ahead = shares.reduce((sum, share, j) => sum + (before(j, i) ? share : 0), 0);
    return likeliest[i]! && ahead < topP;
  });
  return softmax(nucleus);
}

describe("temperature 0", () => {
  test("takes the largest logit, the first of equal ones, and uses no randomness", () => {
    for (let trial = 0; trial < 200; trial++) {
      const random = Random.of("ties", trial);
      const logits = logitsOf(random, 7);
      const values = [...logits];
      const drawn = sample(logits, { ...plain, temperature: 0 }, Random.of(trial));
      expect(drawn).toBe(values.indexOf(Math.max(...values)));
    }
    const untouched = Random.of("untouched");
    sample(Float32Array.of(1, 2), { ...plain, temperature: 0 }, untouched);
    expect(untouched.uniform()).toBe(Random.of("untouched").uniform());
  });

  test("is the limit of low temperatures", () => {
    const logits = Float32Array.of(-3, 2, 1.5, -1e30);
    for (let seed = 0; seed < 50; seed++)
      expect(sample(logits, { ...plain, temperature: 1e-3 }, Random.of(seed))).toBe(1);
  });
});

describe("tokens that can be sampled", () => {
  const settings: Sampling[] = [
    plain,
    { ...plain, topK: 1 },
    { ...plain, topK: 4 },
    { ...plain, topK: 100 },
    { ...plain, topP: 0.5 },
    { ...plain, topP: 0.05 },
    { ...plain, topP: 0.9, topK: 5 },
    { temperature: 2, topK: 6, topP: 0.7 },
    { temperature: 0.5, topK: 0, topP: 0.8 },
  ];
  test.each(settings)("%o: exactly the tokens of the definition", (setting) => {
    for (let trial = 0; trial < 6; trial++) {
      const logits = logitsOf(Random.of("sets", trial), 9);
      const expected = probabilities(logits, setting);
      const rarest = Math.min(...expected.filter((share) => share > 0));
      const drawn = new Set<number>();
      // Enough samples that the chance of missing the rarest token in all these tests is below one in a million.
      const draws = Math.ceil(20 / rarest);
      for (let i = 0; i < draws; i++) drawn.add(sample(logits, setting, Random.of("draw", trial, i)));
      expect([...drawn].sort()).toEqual([...expected.keys()].filter((i) => expected[i]! > 0));
    }
  });

  test("a share that a token reaches exactly needs no other", () => {
    const halves = Float32Array.of(0, 0, -1e30, -1e30);
    const drawn = (topP: number) =>
      new Set(Array.from({ length: 60 }, (_, i) => sample(halves, { ...plain, topP }, Random.of(i))));
    expect(drawn(0.5)).toEqual(new Set([0]));
    expect(drawn(0.5000001)).toEqual(new Set([0, 1]));
    expect(drawn(1)).toEqual(new Set([0, 1]));
  });

  test("tokens that are impossible stay so", () => {
    const logits = Float32Array.of(Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 1);
    const drawn = new Set(Array.from({ length: 60 }, (_, i) => sample(logits, plain, Random.of(i))));
    expect(drawn).toEqual(new Set([1, 3]));
  });
});

test.each<Sampling>([
  plain,
  { ...plain, topK: 40 },
  { ...plain, topP: 0.95 },
  { temperature: 0.4, topK: 200, topP: 0.7 },
])(
  "%o: of many tokens, the one at which the probabilities, the largest first, exceed the random number",
  (setting) => {
    for (let trial = 0; trial < 100; trial++) {
      const random = Random.of("inverse", trial);
      const logits = Float32Array.from({ length: 600 }, () => Math.round(40 * random.normal()) / 10);
      const unit = random.uniform();
      const shares = probabilities(logits, setting);
      const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
      let sum = 0;
      const expected = order.find((i) => {
        sum += shares[i]!;
        return sum > unit;
      });
      expect(sample(logits, setting, { uniform: () => unit })).toBe(expected);
    }
  },
);

// The 0.999 quantile of χ² with 1 to 8 degrees of freedom.
const CHI_SQUARE = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12];

test.each<Sampling>([
  plain,
  { ...plain, temperature: 0.6 },
  { ...plain, temperature: 3 },
  { ...plain, topK: 4 },
  { ...plain, topP: 0.8 },
  { temperature: 1.5, topK: 5, topP: 0.9 },
])("%o: draws are as frequent as softmax says (χ²)", (setting) => {
  const logits = Float32Array.of(0.3, 1.2, -0.7, 0.9, -1.5, 0.3, 0, 1.1);
  const expected = probabilities(logits, setting);
  const draws = 20_000;
  const counts = expected.map(() => 0);
  const random = Random.of("frequencies");
  for (let i = 0; i < draws; i++) counts[sample(logits, setting, random)]! += 1;
  const possible = [...expected.keys()].filter((i) => expected[i]! > 0);
  const distance = possible
    .map((i) => (counts[i]! - draws * expected[i]!) ** 2 / (draws * expected[i]!))
    .reduce((sum, part) => sum + part, 0);
  expect(counts.reduce((sum, count, i) => sum + (expected[i] === 0 ? count : 0), 0)).toBe(0);
  expect(distance).toBeLessThan(CHI_SQUARE[possible.length - 2]!);
});

describe("guide", () => {
  const random = Random.of("guide");
  const [u, i, t, f] = Array.from({ length: 4 }, () =>
    Float32Array.from({ length: 5 }, () => random.normal()),
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const close = (got: Float32Array, expected: (j: number) => number) => {
    for (const [j, value] of got.entries()) expect(value).toBeCloseTo(expected(j), 4);
  };

  test("u + a (i − u) + b (t − i) + c (f − t)", () => {
    const [a, b, c] = [1.5, 3, 0.25];
    close(
      guide([u, i, t, f], [a, b, c]),
      (j) => u[j]! + a * (i[j]! - u[j]!) + b * (t[j]! - i[j]!) + c * (f[j]! - t[j]!),
    );
  });

  test("one branch is itself; weights of 1 give the last, of 0 the first", () => {
    expect(guide([u], [])).toEqual(u);
    close(guide([u, i, t], [1, 1]), (j) => t[j]!);
    close(guide([u, i, t], [0, 0]), (j) => u[j]!);
  });

  test("changes none of the logits it is given", () => {
    const before = [u, i].map((logits) => logits.slice());
    guide([u, i], [7]);
    expect([u, i]).toEqual(before);
  });
});

describe("guidanceConditions", () => {
  const block = (): CacheBlock => ({ length: 1, heads: 1, layers: [] });
  const [empty, example] = [block(), block()];
  const [input, instruction] = [[1, 2], [3]];
  const values = [0, 1, 1.5, 4];
  const some = values.flatMap((image) =>
    values.flatMap((text) => values.map((examples): GuidanceWeights => ({ image, text, examples }))),
  );

  /** The conditions of a branch, one letter each: i(mage), t(ext), e(xamples). */
  const letters = (query: EncodedQuery, blocks: readonly CacheBlock[]) =>
    `${query.input ? "i" : ""}${query.instruction.length > 0 ? "t" : ""}${blocks[0] === example ? "e" : ""}`;

  test.each(["", "i", "t", "e", "it", "ie", "te", "ite"])(
    "conditions '%s': the sum is that of the whole chain, from the branches that count in it",
    (present) => {
      const query: EncodedQuery = {
        ...(present.includes("i") && { input }),
        instruction: present.includes("t") ? instruction : [],
      };
      const blocks = present.includes("e") ? [example] : [];
      for (const guidance of some) {
        const { conditions, weights } = guidanceConditions({ blocks, empty, query, guidance });

        // The coefficient of each branch in l₀ + Σ wᵢ (lᵢ − lᵢ₋₁), from the whole chain …
        const chain = Array.from({ length: present.length + 1 }, (_, i) => present.slice(0, i));
        const steps = [...present].map((letter) =>
          letter === "i" ? guidance.image : letter === "t" ? guidance.text : guidance.examples,
        );
        const expected = new Map<string, number>();
        const add = (into: Map<string, number>, name: string, weight: number) =>
          into.set(name, (into.get(name) ?? 0) + weight);
        add(expected, "", 1);
        for (const [k, weight] of steps.entries()) {
          add(expected, chain[k + 1]!, weight);
          add(expected, chain[k]!, -weight);
        }
        for (const [name, weight] of expected) if (weight === 0) expected.delete(name);

        // … and from the computed branches.
        expect(weights.length).toBe(conditions.length - 1);
        const got = new Map<string, number>();
        const names = conditions.map(({ query, blocks }) => letters(query, blocks));
        add(got, names[0]!, 1);
        for (const [k, weight] of weights.entries()) {
          add(got, names[k + 1]!, weight);
          add(got, names[k]!, -weight);
        }
        expect(got).toEqual(expected);
        // Without examples, a branch sees the empty example.
        for (const condition of conditions) {
          expect(condition.blocks).toHaveLength(1);
          expect([empty, example]).toContain(condition.blocks[0]);
        }
      }
    },
  );

  test("plain sampling is one branch with every condition", () => {
    const guidance = { image: 1, text: 1, examples: 1 };
    const query = { input, instruction };
    const { conditions, weights } = guidanceConditions({ blocks: [example], empty, query, guidance });
    expect(weights).toEqual([]);
    expect(conditions).toEqual([{ blocks: [example], query }]);
    expect(conditions[0]!.blocks[0]).toBe(example);
  });
});
