/**
 * @file Pre-tokenizers, rewritten so that `@huggingface/tokenizers` splits text like Python's `tokenizers`.
 *
 * The library's `Punctuation` keeps runs of punctuation whole, its `Digits` knows ASCII digits alone, and its white space
 * is JavaScript's (with U+FEFF, without U+0085). Three of Chameleon's six pre-tokenizers differ for these reasons. Each
 * becomes a `Split` with the reference's behaviour. Over all of Unicode, the only remaining differences are letters that
 * are newer than the reference's tables.
 */
import { z } from "zod";

const partSchema = z.looseObject({ type: z.string() });
const sequenceSchema = z.object({ pretokenizers: z.array(partSchema) });
type Part = z.infer<typeof partSchema>;

const NUMBER = "\\p{N}";

/** Punctuation that is newer than the reference's table (Unicode 8): first and last code points in hexadecimal. */
const LATER_PUNCTUATION =
  "61d 9fd a76 c77 c84 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 10d6e 10ead 10ed0 10f55-10f59 10f86-10f89 " +
  "113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c 116b9 1183b 11944-11946 119e2 11a3f-11a46 " +
  "11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2 " +
  "16d6d-16d6f 16e97-16e9a 16fe2 1e5ff 1e95e-1e95f";
/** Punctuation of its table that later versions of Unicode reclassified. */
const FORMER_PUNCTUATION = "166d 111c9";

const characters = (ranges: string): string =>
  ranges.replace(/[0-9a-f]+/g, (code) => String.fromCodePoint(Number.parseInt(code, 16))).replaceAll(" ", "");

const PUNCTUATION = `(?![${characters(LATER_PUNCTUATION)}])[\\p{P}${characters(FORMER_PUNCTUATION)}!-/:-@\\[-\`{-~]`;

const SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
/** GPT-2's words; contractions are words of their own. */
const WORD = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`;

const split = (expression: string): Part => ({
  type: "Split",
  pattern: { Regex: expression },
  behavior: "Isolated",
  invert: false,
});

/** An equivalent pre-tokenizer that the library runs correctly. Unknown ones stay as they are. */
export function exactPreTokenizer(part: Part): Part {
  const parts = exact(part);
  return parts.length === 1 ? parts[0]! : { type: "Sequence", pretokenizers: parts };
}

function exact(part: Part): Part[] {
  const sequence = sequenceSchema.safeParse(part);
  if (part.type === "Sequence" && sequence.success) return sequence.data.pretokenizers.flatMap(exact);
  if (part.type === "Digits") return [split(part.individual_digits ? NUMBER : `${NUMBER}+`)];
  if (part.type === "Punctuation" && (part.behavior ?? "Isolated") === "Isolated")
    return [split(PUNCTUATION)];
  if (part.type === "ByteLevel" && part.use_regex !== false && part.add_prefix_space === false)
    return [split(WORD), { ...part, use_regex: false }];
  return [part];
}
