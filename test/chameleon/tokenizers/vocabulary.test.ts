import { describe, expect, test } from "vitest";
import type { TokenizerFile } from "../../../src/chameleon/tokenizers/tokenizer-file.ts";
import { trainBpe } from "../../../src/chameleon/tokenizers/train-bpe.ts";
import {
  buildVocabulary,
  imageTokenName,
  isControlName,
  Vocabulary,
  xpTokenName,
} from "../../../src/chameleon/tokenizers/vocabulary.ts";
import { XPromptError } from "../../../src/errors.ts";

/** A tokenizer.json with only these tokens, all in the model's vocabulary and none "added". */
function fileOf(vocab: Record<string, number>): TokenizerFile {
  return {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel" },
    post_processor: null,
    decoder: null,
    model: { type: "BPE", vocab, merges: [] },
  };
}

/** Chameleon's ids: codes in shuffled order from 4 on, special tokens at their published ids. */
function chameleonIds(): Record<string, number> {
  const vocab: Record<string, number> = { "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3 };
  for (let code = 0; code < 8192; code++) vocab[imageTokenName((code * 4097) % 8192)] = 4 + code;
  Object.assign(vocab, { "<eoss>": 8196, "<racm3:break>": 8197 });
  for (let n = 8194; n < 8720; n++) vocab[`<reserved${String(n).padStart(5, "0")}>`] = n + 4;
  return Object.assign(vocab, { the: 9000, Ġof: 65535 });
}

test("names spell the decimal digits of a code in letters", () => {
  expect([0, 7, 10, 123, 8191].map(imageTokenName)).toEqual([
    "IMGIMGAZ",
    "IMGIMGHZ",
    "IMGIMGBAZ",
    "IMGIMGBCDZ",
    "IMGIMGIBJBZ",
  ]);
  expect([0, 7, 10, 123].map(xpTokenName)).toEqual(["<xp00>", "<xp07>", "<xp10>", "<xp123>"]);
});

test("a vocabulary of our own is laid out in Chameleon's order", () => {
  const names = buildVocabulary({ imageCodes: 3, xpTokens: 2, textTokens: ["a", "b"] });
  expect(names).toEqual([
    ...["<s>", "<pad>", "</s>", "<unk>", "IMGIMGAZ", "IMGIMGBZ", "IMGIMGCZ"],
    ...["<eoss>", "<racm3:break>", "<reserved08706>", "<image>", "<xp00>", "<xp01>", "a", "b"],
  ]);
});

test("the ids of a trained tokenizer are recovered", () => {
  const vocabulary = new Vocabulary(trainBpe(["red red"], { merges: 5, imageCodes: 16, xpTokens: 4 }));
  expect(vocabulary).toMatchObject({ bos: 0, pad: 1, eos: 2, endImage: 20, beginImage: 21, sep: 22 });
  expect(vocabulary.xp).toEqual([24, 25, 26, 27]);
  expect(Array.from(vocabulary.imageTokens)).toEqual(Array.from({ length: 16 }, (_, code) => 4 + code));
  expect(vocabulary.size).toBe(28 + 256 + 2);
  expect(vocabulary.textTokens).toEqual(Int32Array.from({ length: 258 }, (_, i) => 28 + i));
  expect([3, 4, 19, 20, -1, 1e6].map((id) => vocabulary.isImageToken(id))).toEqual([
    ...[false, true, true, false, false, false],
  ]);
});

test("Chameleon's own ids are found by name, whatever their order", () => {
  const vocabulary = new Vocabulary(fileOf(chameleonIds()));
  expect(vocabulary).toMatchObject({ bos: 0, pad: 1, eos: 2, sep: 8710, beginImage: 8197, endImage: 8196 });
  expect(vocabulary.size).toBe(65536);
  expect(vocabulary.imageTokens).toHaveLength(8192);
  vocabulary.imageTokens.forEach((id, code) => {
    expect(vocabulary.codeOfToken[id]).toBe(code);
    expect(vocabulary.nameOf(id)).toBe(imageTokenName(code));
  });
  expect(Array.from(vocabulary.textTokens)).toEqual([9000, 65535]);
  expect(vocabulary.xp).toEqual([]);
});

describe("a broken vocabulary is refused by name", () => {
  const without = (name: string): Record<string, number> => {
    const { [name]: _, ...rest } = chameleonIds();
    return rest;
  };
  test.each([
    ["a missing special", without("<racm3:break>"), /expected a token <racm3:break>, found none/],
    ["a missing code", without("IMGIMGEJZ"), /expected image codes 0 to 8191, 49 is missing/],
    ["a duplicate code", { ...chameleonIds(), IMGIMGAEJZ: 60000 }, /both stand for image code 49/],
    ["a duplicate id", { ...chameleonIds(), twin: 9000 }, /two tokens, "the" and "twin", have id 9000/],
    [
      "a gap in XP",
      { ...chameleonIds(), "<xp00>": 60000, "<xp02>": 60001 },
      /expected XP tokens 0 to 2, 1 is/,
    ],
    [
      "no image codes",
      { "<s>": 0, "<pad>": 1, "</s>": 2, "<eoss>": 3, "<racm3:break>": 4, "<reserved08706>": 5 },
      /IMGIMG…Z, found none/,
    ],
  ])("%s", (_, vocab, message) => {
    expect(() => new Vocabulary(fileOf(vocab))).toThrow(XPromptError);
    expect(() => new Vocabulary(fileOf(vocab))).toThrow(message);
  });
});

test("control names are distinguished from text", () => {
  for (const name of [
    "<s>",
    "</s>",
    "<pad>",
    "<image>",
    "<reserved08706>",
    "<xp12>",
    "<sentinel:3>",
    "IMGIMGJAZ",
  ])
    expect(isControlName(name)).toBe(true);
  for (const name of ["<", "s", "<b>", "IMG", "IMGIMGZ", "IMGIMGKZ", "ĠIMGIMGAZ", "reserved"])
    expect(isControlName(name)).toBe(false);
});
