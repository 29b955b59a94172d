import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { TextTokenizer } from "../../../src/chameleon/tokenizers/text-tokenizer.ts";
import { trainBpe } from "../../../src/chameleon/tokenizers/train-bpe.ts";
import { BYTE_CHARACTERS } from "../../../src/chameleon/tokenizers/vocabulary.ts";

const corpus = readFileSync(new URL("../../fixtures/tokenizer/corpus.txt", import.meta.url), "utf8")
  .trimEnd()
  .split("\n");

const fixtureOptions = { merges: 300, imageCodes: 64, xpTokens: 8 };

test("the merges equal those of a plain BPE in Python", () => {
  const path = new URL("../../fixtures/tokenizer/merges.json", import.meta.url);
  const { model } = trainBpe(corpus, fixtureOptions);
  expect(model.merges).toEqual(JSON.parse(readFileSync(path, "utf8")));
});

test("the same corpus gives the same file, byte for byte", async () => {
  const file = trainBpe(corpus, fixtureOptions);
  await expect(`${JSON.stringify(file)}\n`).toMatchFileSnapshot("../../fixtures/tokenizer/tokenizer.json");
});

test("the most frequent pair is merged first, equals in code-unit order", () => {
  const { model } = trainBpe(["ab ab ab cd cd", "xy", "uv"], {
    merges: 4,
    imageCodes: 1,
    xpTokens: 0,
    minCount: 1,
  });
  expect(model.merges).toEqual([
    ["a", "b"],
    ["c", "d"],
    ["Ġ", "ab"],
    ["Ġ", "cd"],
  ]);
});

test("repeated symbols merge from the left, and counts stay right", () => {
  const { model } = trainBpe(["aaaaa", "aaaa"], { merges: 3, imageCodes: 1, xpTokens: 0, minCount: 1 });
  expect(model.merges).toEqual([
    ["a", "a"],
    ["aa", "aa"],
    ["aaaa", "a"],
  ]);
});

test("training stops when no pair occurs often enough", () => {
  const { model } = trainBpe(["ab ab", "xy"], { merges: 100, imageCodes: 1, xpTokens: 0 });
  expect(model.merges).toEqual([["a", "b"]]);
});

test("no corpus still gives a tokenizer that spells everything in bytes", () => {
  const file = trainBpe([], { merges: 10, imageCodes: 2, xpTokens: 1 });
  const tokenizer = new TextTokenizer(file);
  expect(tokenizer.decode(tokenizer.encode("né 🙂"))).toBe("né 🙂");
  expect(tokenizer.encode("né 🙂")).toHaveLength(8);
  expect(new Set(BYTE_CHARACTERS).size).toBe(256);
});

test("a corpus full of control names does not learn them as text", () => {
  const file = trainBpe(Array(50).fill("IMGIMGAZ IMGIMGBZ"), { merges: 100, imageCodes: 2, xpTokens: 1 });
  const tokenizer = new TextTokenizer(file);
  const ids = tokenizer.encode("IMGIMGAZ");
  expect(ids.length).toBeGreaterThan(1);
  expect(ids.every((id) => tokenizer.vocabulary.isTextToken(id))).toBe(true);
});
