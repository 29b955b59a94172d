import { describe, expect, test } from "vitest";
import {
  exampleTokens,
  HIDDEN_CODE,
  pictureTokens,
  queryTokens,
  targetTokens,
  textLimit,
} from "../../src/xprompt/sequence.ts";
import { tinyTokenizers, tinyXPrompt } from "../fixtures/chameleon/kit.ts";

const {
  image,
  text: { vocabulary },
} = tinyTokenizers();
const names = (tokens: readonly number[]) => tokens.map((token) => vocabulary.nameOf(token)).join(" ");
const [before, after] = [
  [0, 1, 2, 3],
  [5, 4, 3, 2],
];
const word = [...vocabulary.textTokens].slice(0, 1);
const shown = { input: before, output: after, instruction: [] };
const BEFORE = "<racm3:break> IMGIMGAZ IMGIMGBZ IMGIMGCZ IMGIMGDZ <eoss>";
const AFTER = "<racm3:break> IMGIMGFZ IMGIMGEZ IMGIMGDZ IMGIMGCZ <eoss>";

describe("tokens by name", () => {
  test("a picture is its codes between begin and end", () => {
    expect(names(pictureTokens(vocabulary, before))).toBe(BEFORE);
    expect(names(pictureTokens(vocabulary, Int32Array.from(after)))).toBe(AFTER);
    expect(names(pictureTokens(vocabulary, [0, HIDDEN_CODE, 2, 3]))).toBe(
      BEFORE.replace("IMGIMGBZ", "<pad>"),
    );
  });

  test("an example ends in its XP block", () => {
    expect(names(exampleTokens(vocabulary, shown, 3))).toBe(`<s> ${BEFORE} ${AFTER} <xp00> <xp01> <xp02>`);
    const told = { ...shown, instruction: word };
    expect(names(exampleTokens(vocabulary, told, 2))).toBe(
      `<s> ${vocabulary.nameOf(word[0]!)} ${BEFORE} ${AFTER} <xp00> <xp01>`,
    );
  });

  test("the empty example is nothing but its XP block", () => {
    expect(names(exampleTokens(vocabulary, null, 3))).toBe("<s> <xp00> <xp01> <xp02>");
  });

  test("a TODO part asks up to the begin of the picture to be made", () => {
    const w = vocabulary.nameOf(word[0]!);
    const asked = { input: before, instruction: word };
    expect(names(queryTokens(vocabulary, asked))).toBe(`<reserved08706> ${w} ${BEFORE} <racm3:break>`);
    expect(names(queryTokens(vocabulary, { input: before, instruction: [] }))).toBe(
      `<reserved08706> ${BEFORE} <racm3:break>`,
    );
    expect(names(queryTokens(vocabulary, { instruction: word }))).toBe(`<reserved08706> ${w} <racm3:break>`);
  });

  test("the target continues it: codes, end of image, end", () => {
    expect(names(targetTokens(vocabulary, { picture: after }))).toBe(
      "IMGIMGFZ IMGIMGEZ IMGIMGDZ IMGIMGCZ <eoss> </s>",
    );
  });
});

test("an answer in words is asked for by a second separator, and is words to the end", () => {
  const w = vocabulary.nameOf(word[0]!);
  const answer = "words";
  expect(names(queryTokens(vocabulary, { instruction: [], answer }))).toBe("<reserved08706> <reserved08706>");
  expect(names(queryTokens(vocabulary, { input: before, instruction: [], answer }))).toBe(
    `<reserved08706> ${BEFORE} <reserved08706>`,
  );
  expect(names(targetTokens(vocabulary, { words: word }))).toBe(`${w} </s>`);
});

test("words take the room of a picture that is missing", () => {
  expect(textLimit(tinyXPrompt, 1, image.codesPerImage)).toBe(5);
  expect(textLimit(tinyXPrompt, 2, image.codesPerImage)).toBe(5);
  const most = textLimit(tinyXPrompt, 0, image.codesPerImage);
  const long = Array(most).fill(word[0]!);
  const short = Array(5).fill(word[0]!);
  expect(queryTokens(vocabulary, { instruction: long }).length).toBe(
    queryTokens(vocabulary, { input: before, instruction: short }).length,
  );
});
