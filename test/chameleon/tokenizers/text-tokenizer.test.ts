import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { MAX_TEXT_LENGTH, TextTokenizer } from "../../../src/chameleon/tokenizers/text-tokenizer.ts";
import type { TokenizerFile } from "../../../src/chameleon/tokenizers/tokenizer-file.ts";
import { buildVocabulary } from "../../../src/chameleon/tokenizers/vocabulary.ts";
import { XPromptError } from "../../../src/errors.ts";
import { sha256 } from "../../../src/hash.ts";
import { Random } from "../../../src/random.ts";

/** Output of `test/fixtures/tokenizer/make.py`: digests per tokenizer (uint32 in base64) and every fortieth id list. */
interface CrossCheck {
  nano_sha256: string;
  lines: string[];
  digests: Record<"xprompt" | "nano" | "chameleon", string>;
  ids: Record<"xprompt" | "nano" | "chameleon", number[][]>;
}

const fixture = (name: string): URL => new URL(`../../fixtures/tokenizer/${name}`, import.meta.url);
const file = JSON.parse(readFileSync(fixture("tokenizer.json"), "utf8")) as TokenizerFile;
const crossCheck = JSON.parse(
  gunzipSync(readFileSync(fixture("cross-check.json.gz"))).toString("utf8"),
) as CrossCheck;
const tokenizer = new TextTokenizer(file);

function fnv1a(ids: readonly number[]): number {
  let digest = 0x811c9dc5;
  for (const id of ids) digest = Math.imul(digest ^ id, 0x01000193) >>> 0;
  return digest;
}

describe("encodes thousands of lines in many scripts like Python's tokenizers", () => {
  const nano = readFileSync(new URL("../../../models/nano/tokenizer.json", import.meta.url));

  test("with the nano that is shipped", () => {
    expect(sha256(nano), "make the cross-check again: make.py").toBe(crossCheck.nano_sha256);
  });

  test.each([
    ["xprompt", file],
    ["nano", JSON.parse(nano.toString("utf8"))],
    ["chameleon", JSON.parse(readFileSync(fixture("chameleon.json"), "utf8"))],
  ] as const)("%s", (name, json) => {
    const read = new TextTokenizer(json);
    const { lines } = crossCheck;
    const ids = lines.map((line) => read.encode(line));
    expect(ids.filter((_, i) => i % 40 === 0)).toEqual(crossCheck.ids[name]);
    const digests = Buffer.from(crossCheck.digests[name], "base64");
    expect(digests).toHaveLength(4 * lines.length);
    expect(lines.filter((_, i) => fnv1a(ids[i]!) !== digests.readUInt32LE(4 * i))).toEqual([]);
    expect(lines.filter((line, i) => read.decode(ids[i]!) !== line)).toEqual([]);
  });
});

describe("decoding restores any text", () => {
  const ranges: [first: number, last: number][] = [
    [0x00, 0x7f],
    [0x80, 0x7ff],
    [0x800, 0xd7ff],
    [0xe000, 0xffff],
    [0x10000, 0x10ffff],
    [0x1f300, 0x1faff],
    [0x09, 0x20],
    [0x2000, 0x200f],
  ];

  test("2000 random strings", () => {
    const random = Random.of(7, "text");
    for (let i = 0; i < 2000; i++) {
      const text = Array.from({ length: random.integer(0, 40) }, () =>
        String.fromCodePoint(random.integer(...random.pick(ranges))),
      ).join("");
      const ids = tokenizer.encode(text);
      expect(tokenizer.decode(ids)).toBe(text);
      expect(ids.every((id) => tokenizer.vocabulary.isTextToken(id))).toBe(true);
    }
  });

  test.each([
    "",
    " ",
    "\n\n  \t",
    "\ufeffbom",
    "a\u0000b",
    "  two  spaces  ",
    "\u0085\u2028\u00a0",
    "👩🏽‍🚀🇫🇷",
  ])("%j", (text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test("a lone surrogate counts as U+FFFD", () => {
    for (const text of ["\ud83d", "a\ude00b", "\ude00\ud83d", "x\ud83d 🙂"])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.replace(/\p{Surrogate}/gu, "\ufffd"));
  });
});

describe("text never becomes a control token", () => {
  const names = buildVocabulary({ imageCodes: 64, xpTokens: 8, textTokens: [] });

  test("names of control tokens are spelled out", () => {
    for (const name of names) {
      for (const text of [name, ` ${name}`, `a${name}b`, name + name]) {
        const ids = tokenizer.encode(text);
        expect(ids.every((id) => tokenizer.vocabulary.isTextToken(id))).toBe(true);
        expect(tokenizer.decode(ids)).toBe(text);
      }
    }
  });

  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

  test("even where a tokenizer would take whole words or has merges that lead to them", () => {
    const whole = { ...file, model: { ...file.model, ignore_merges: true } };
    const merges = [...file.model.merges, ["<", "s"], ["<s", ">"]];
    const vocab = { ...file.model.vocab, "<s": Object.keys(file.model.vocab).length };
    const merging = { ...file, pre_tokenizer: bytes, model: { ...file.model, vocab, merges } };
    for (const hostile of [whole, merging].map((json) => new TextTokenizer(json))) {
      for (const text of ["<s>", "IMGIMGAZ", "<xp00>"])
        expect(hostile.encode(text).every((id) => hostile.vocabulary.isTextToken(id))).toBe(true);
    }
  });
});

describe("decoding", () => {
  test("leaves control tokens out", () => {
    const { bos, beginImage, imageTokens, eos } = tokenizer.vocabulary;
    const ids = [
      bos,
      ...tokenizer.encode("a red"),
      beginImage,
      imageTokens[12]!,
      ...tokenizer.encode(" circle"),
      eos,
    ];
    expect(tokenizer.decode(ids)).toBe("a red circle");
    expect(tokenizer.decode(Int32Array.from(ids))).toBe("a red circle");
  });

  test("shows a cut character as U+FFFD", () => {
    const ids = tokenizer.encode("ok 🙂");
    expect(tokenizer.decode(ids.slice(0, -1))).toBe("ok \ufffd");
  });

  test.each([-1, 0.5, 1e9, Number.NaN])("refuses id %d", (id) => {
    expect(() => tokenizer.decode([id])).toThrow(XPromptError);
  });
});

test("a text of megabytes is refused at once", () => {
  expect(() => tokenizer.encode("a".repeat(10_000_000))).toThrow(
    `encoding text: expected at most ${MAX_TEXT_LENGTH} characters, got 10000000 (shorten it)`,
  );
  expect(tokenizer.encode("ab ".repeat(MAX_TEXT_LENGTH / 3)).length).toBeGreaterThan(30_000);
});

describe("loading", () => {
  const folder = mkdtempSync(join(tmpdir(), "xprompt-tokenizer-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const written = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  test("reads a file", async () => {
    const loaded = await TextTokenizer.load(fileURLToPath(fixture("tokenizer.json")));
    expect(loaded.encode("a red circle")).toEqual(tokenizer.encode("a red circle"));
  });

  const { "!": _, ...oneByteShort } = file.model.vocab;
  test.each([
    ["nothing there", undefined, /absent\.json: expected it to exist/],
    ["not JSON", "{", /JSON/],
    ["not a tokenizer", "{}", /reading a tokenizer: .*added_tokens/s],
    ["another kind", { ...file, model: { type: "Unigram", vocab: {}, merges: [] } }, /BPE/],
    ["a byte missing", { ...file, model: { ...file.model, vocab: oneByteShort } }, /byte 33 is missing/],
    [
      "a merge without token",
      { ...file, model: { ...file.model, merges: [...file.model.merges, ["Q", "Z"]] } },
      /merge to "QZ" has no token/,
    ],
    ["an unknown part", { ...file, pre_tokenizer: { type: "Nonsense" } }, /Nonsense/],
  ])("refuses %s", async (_, content, message) => {
    const text = typeof content === "object" ? JSON.stringify(content) : content;
    const path = text === undefined ? join(folder, "absent.json") : written("broken.json", text);
    await expect(TextTokenizer.load(path)).rejects.toThrow(XPromptError);
    await expect(TextTokenizer.load(path)).rejects.toThrow(message);
  });

  test("refuses a pipe, which would block", async () => {
    const path = join(folder, "pipe.json");
    execFileSync("mkfifo", [path]);
    await expect(TextTokenizer.load(path)).rejects.toThrow(
      "pipe.json: expected a file, got a device or pipe",
    );
  });

  test("has a checksum of the file's content, whatever its formatting, and refuses another", async () => {
    const { checksum } = tokenizer;
    expect(checksum).toMatch(/^[0-9a-f]{64}$/);
    const path = written("indented.json", JSON.stringify(file, null, 2));
    expect((await TextTokenizer.load(path, { checksum })).checksum).toBe(checksum);
    const { IMGIMGAZ, IMGIMGBZ } = file.model.vocab;
    const vocab: Record<string, number> = { ...file.model.vocab, IMGIMGAZ: IMGIMGBZ!, IMGIMGBZ: IMGIMGAZ! };
    const added_tokens = file.added_tokens.map((token) => ({ ...token, id: vocab[token.content]! }));
    const swapped = written(
      "swapped.json",
      JSON.stringify({ ...file, added_tokens, model: { ...file.model, vocab } }),
    );
    expect((await TextTokenizer.load(swapped)).checksum).not.toBe(checksum);
    await expect(TextTokenizer.load(swapped, { checksum })).rejects.toThrow(/swapped\.json: .*damaged/);
  });
});

/** Python's tokenizers 0.23.1 refuses each of these, or gives other ids for common text. */
describe("refuses files that Python's tokenizers refuses or interprets differently", () => {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const cut = (...pretokenizers: object[]) => ({ pre_tokenizer: { type: "Sequence", pretokenizers } });
  const split = { type: "Split", pattern: { String: " " }, behavior: "Isolated", invert: false };
  const model = (change: object) => ({ model: { ...file.model, ...change } });
  const { pattern: _pattern, ...anything } = split;

  test.each<[string, object, RegExp]>([
    ["a merge of one token", model({ merges: ["a"] }), /model\.merges.*two tokens/],
    ["merges in two ways", model({ merges: [...file.model.merges, "t h"] }), /model\.merges.*all as/],
    ["a prefix inside of words", model({ continuing_subword_prefix: "##" }), /continuing_subword_prefix/],
    ["a suffix at their ends", model({ end_of_word_suffix: "x" }), /end_of_word_suffix/],
    ["random dropout of merges", model({ dropout: 0.5 }), /dropout/],
    [
      "a replacement without a pattern",
      { normalizer: { type: "Replace", content: "" } },
      /normalizer\.pattern/,
    ],
    [
      "a replacement with a group",
      { normalizer: { type: "Replace", pattern: { String: " " }, content: "$&" } },
      /normalizer\.content/,
    ],
    [
      "another alphabet",
      { normalizer: { type: "Precompiled", precompiled_charsmap: "AA" } },
      /"Precompiled"/,
    ],
    ["lower case", { normalizer: { type: "Lowercase" } }, /"Lowercase"/],
    ["a split without a pattern", cut(anything, bytes), /pretokenizers\.0\.pattern/],
    ["a split that removes", cut({ ...split, behavior: "Removed" }, bytes), /pretokenizers\.0\.behavior/],
    ["a split before", cut({ ...split, behavior: "MergedWithNext" }, bytes), /pretokenizers\.0\.behavior/],
    ["an inverted split", cut({ ...split, invert: true }, bytes), /pretokenizers\.0\.invert/],
    ["no bytes", { pre_tokenizer: null }, /pre_tokenizer: expected .*ByteLevel/],
    ["no bytes at the end", cut(bytes, { type: "Digits", individual_digits: true }), /ByteLevel as the last/],
    ["an empty sequence", cut(), /ByteLevel as the last/],
    ["bytes without settings", { pre_tokenizer: { type: "ByteLevel" } }, /pre_tokenizer\.add_prefix_space/],
    ["joining without settings", { decoder: { type: "ByteLevel" } }, /decoder\.add_prefix_space/],
  ])("%s", (_what, change, message) => {
    expect(() => new TextTokenizer({ ...file, ...change })).toThrow(XPromptError);
    expect(() => new TextTokenizer({ ...file, ...change })).toThrow(message);
  });

  test("accepts a sequence in a sequence", () => {
    const nested = new TextTokenizer({
      ...file,
      ...cut({ type: "Sequence", pretokenizers: [split] }, bytes),
    });
    expect(nested.decode(nested.encode("a red circle"))).toBe("a red circle");
  });
});

test("ends a regular expression that would backtrack for years", () => {
  const pretokenizers = [
    { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ];
  const hostile = new TextTokenizer({ ...file, pre_tokenizer: { type: "Sequence", pretokenizers } });
  expect(hostile.decode(hostile.encode("a banana"))).toBe("a banana");
  expect(() => hostile.encode(`${"a".repeat(50)}!`)).toThrow(
    /^encoding text: expected .* got a regular expression that takes longer \(use the tokenizer\.json/,
  );
});
