/** @file The grammar without a model: random allowed tokens in every mode, parsed independently. */
import { describe, expect, test } from "vitest";
import {
  Grammar,
  layOut,
  type Mode,
  modes,
  type PictureLayout,
  pictureLayout,
} from "../../../src/chameleon/model/grammar.ts";
import { TextTokenizer } from "../../../src/chameleon/tokenizers/text-tokenizer.ts";
import { Random } from "../../../src/random.ts";
import { tokenizerJson } from "../../fixtures/complete/kit.ts";

const { vocabulary } = new TextTokenizer(tokenizerJson);
const { eos, sep, beginImage, endImage, imageTokens, textTokens } = vocabulary;
const layouts = {
  chameleon: pictureLayout(vocabulary, 4, "chameleon"),
  lumina: pictureLayout(vocabulary, 4, "lumina"),
};
const textIds = new Set(textTokens);
const codeOf = new Map(Array.from(imageTokens, (id, code) => [id, code]));

/** Samples allowed tokens up to the end. */
function walk(grammar: Grammar, random: Random): number[] {
  const tokens: number[] = [];
  for (let state = grammar.start; ; ) {
    const allowed = grammar.allowed(state);
    if (allowed.length === 0) return tokens;
    // Picture and end tokens are rare among the text tokens, so they are preferred.
    const special = [...allowed].filter((id) => !textIds.has(id));
    const token =
      special.length > 0 && random.chance(0.15) ? random.pick(special) : random.pick([...allowed]);
    tokens.push(token);
    state = grammar.next(state, token);
  }
}

/**
 * The content of tokens by the definition of the layouts, without the grammar: T for text, P for a picture, E for an
 * end.
 */
function shapeOf(tokens: readonly number[], layout: PictureLayout): string {
  let shape = "";
  for (let i = 0; i < tokens.length; ) {
    if (tokens[i] === beginImage) {
      const picture = tokens.slice(i, i + layout.length);
      const fits = layout.every((slot, j) => (slot === null ? codeOf.has(picture[j]!) : picture[j] === slot));
      shape += fits ? "P" : "?";
      i += layout.length;
    } else {
      const token = tokens[i++]!;
      shape += textIds.has(token) ? "T" : token === eos || token === sep ? "E" : "?";
    }
  }
  return shape;
}

const expected: Record<Mode, RegExp> = {
  text: /^T*E?$/,
  image: /^P$/,
  interleaved: /^[TP]*E?$/,
};

describe.each(Object.entries(layouts))("%s pictures", (_name, layout) => {
  test.each(modes)("%s: the result is complete and within its budget", (mode) => {
    const random = Random.of("grammar", mode);
    let [pictures, ends, full] = [0, 0, 0];
    for (let run = 0; run < 300; run++) {
      const maxTokens =
        mode === "image" ? layout.length + random.integer(0, 9) : random.integer(1, 4 * layout.length);
      const grammar = new Grammar(vocabulary, layout, mode, maxTokens);
      const tokens = walk(grammar, random);
      const shape = shapeOf(tokens, layout);
      expect(shape).toMatch(expected[mode]);
      expect(tokens.length).toBeLessThanOrEqual(maxTokens);
      if (mode !== "image" && !shape.endsWith("E")) expect(tokens).toHaveLength(maxTokens);
      const parsed = grammar.parse(tokens);
      expect(parsed.filter((piece) => "codes" in piece)).toHaveLength(shape.split("P").length - 1);
      expect(shape).toHaveLength(
        parsed.reduce((sum, piece) => sum + ("codes" in piece ? 1 : piece.text.length), 0) +
          (shape.endsWith("E") ? 1 : 0),
      );
      pictures += shape.split("P").length - 1;
      ends += shape.endsWith("E") ? 1 : 0;
      full += tokens.length === maxTokens ? 1 : 0;
    }
    // The samples must cover all cases, or the test shows nothing.
    expect(pictures > 50).toBe(mode !== "text");
    expect(ends > 50).toBe(mode !== "image");
    expect(full).toBeGreaterThan(5);
  });

  test("a picture's tokens are its codes, laid out", () => {
    const codes = Array.from({ length: 16 }, (_, i) => (7 * i) % 32);
    const tokens = layOut(layout, vocabulary, codes);
    expect(shapeOf(tokens, layout)).toBe("P");
    expect(tokens.flatMap((id) => codeOf.get(id) ?? [])).toEqual(codes);
    const grammar = new Grammar(vocabulary, layout, "image", layout.length);
    expect(grammar.parse(tokens)).toEqual([{ codes: Int32Array.from(codes) }]);
  });
});

test("Lumina-mGPT has height and width tokens in steps of two codes, and ends rows", () => {
  const id = (name: string) => vocabulary.reserved(Number(name));
  const tokens = layOut(layouts.lumina, vocabulary, Array(16).fill(3));
  const code = imageTokens[3]!;
  const row = [code, code, code, code, id("8799")];
  expect(tokens).toEqual([beginImage, id("8802"), id("8802"), ...row, ...row, ...row, ...row, endImage]);
});

describe("interleaved", () => {
  const layout = layouts.chameleon;
  const allowedAfter = (maxTokens: number, words: number) => {
    const grammar = new Grammar(vocabulary, layout, "interleaved", maxTokens);
    let state = grammar.start;
    for (let i = 0; i < words; i++) state = grammar.next(state, textTokens[0]!);
    return [...grammar.allowed(state)];
  };

  test("a picture begins exactly where the budget allows all of it", () => {
    expect(allowedAfter(18, 0)).toContain(beginImage);
    expect(allowedAfter(17, 0)).not.toContain(beginImage);
    expect(allowedAfter(28, 10)).toContain(beginImage);
    expect(allowedAfter(28, 11)).not.toContain(beginImage);
  });

  test("allowed ids are distinct, ascending, and never reserved ones", () => {
    const allowed = allowedAfter(100, 3);
    expect(allowed).toEqual([...new Set(allowed)].sort((a, b) => a - b));
    expect(new Set(allowed)).toEqual(new Set([...textTokens, eos, sep, beginImage]));
  });
});

describe("refusals", () => {
  const layout = layouts.chameleon;
  const word = textTokens[5]!;
  const picture = layOut(layout, vocabulary, Array(16).fill(1));
  test.each<[string, Mode, number[]]>([
    ["a picture in text", "text", picture],
    ["text before a picture", "image", [word, ...picture]],
    ["text after a picture", "image", [...picture, word]],
    ["a second picture", "image", [...picture, ...picture]],
    ["a code short", "interleaved", [...picture.slice(0, -2), endImage]],
    ["a code too many", "interleaved", [...picture.slice(0, -1), imageTokens[0]!, endImage]],
    ["a word among codes", "interleaved", [beginImage, word]],
    ["a code without a begin", "interleaved", [imageTokens[0]!]],
    ["words after the end", "interleaved", [eos, word]],
    ["a reserved token", "text", [vocabulary.reserved(8708)]],
    ["padding", "interleaved", [vocabulary.pad]],
    ["more than the budget", "text", Array(41).fill(word)],
  ])("%s", (_what, mode, tokens) => {
    const grammar = new Grammar(vocabulary, layout, mode, 40);
    expect(() => grammar.parse(tokens)).toThrow("reading tokens: expected an allowed token");
  });

  test("not an incomplete picture: its codes so far are given", () => {
    const grammar = new Grammar(vocabulary, layout, "interleaved", 40);
    const half = [word, ...picture.slice(0, 5)];
    expect(grammar.parse(half)).toEqual([{ text: [word] }, { codes: Int32Array.of(1, 1, 1, 1) }]);
    expect(new Grammar(vocabulary, layout, "image", 40).parse([])).toEqual([]);
  });

  test("a budget too small for a picture", () => {
    expect(() => new Grammar(vocabulary, layout, "image", 17)).toThrow(
      "completing: maxTokens: expected at least 18, the length of a picture, got 17",
    );
  });
});
