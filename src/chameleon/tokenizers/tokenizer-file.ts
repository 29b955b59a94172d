/**
 * @file The schema of `tokenizer.json`: byte-level BPE, with the normalizers and pre-tokenizers for which
 * `@huggingface/tokenizers` gives the ids of Python's `tokenizers`. Everything that Python refuses or reads differently is
 * refused here by name.
 */
import { z } from "zod";
import { sha256 } from "../../hash.ts";
import { quote } from "../../runtime/safetensors-header.ts";

/** Chameleon's ids end at 65535; the bound stops a damaged file from allocating gigabytes. */
const MAX_ID = 2 ** 20 - 1;
const isTokenId = (id: unknown): boolean =>
  Number.isInteger(id) && (id as number) >= 0 && (id as number) <= MAX_ID;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly [setting: string]: unknown;
}

/** A function instead of a schema: there are thousands of these tokens. */
const addedToken = z.custom<AddedToken>(
  (token) => {
    const { id, content } = Object(token) as Partial<AddedToken>;
    return isTokenId(id) && typeof content === "string";
  },
  { error: `expected { id, content } with an id from 0 to ${MAX_ID}` },
);

/** Ids by token; a function for the same reason. */
const vocabulary = z.custom<Record<string, number>>(
  (ids) =>
    typeof ids === "object" && ids !== null && !Array.isArray(ids) && Object.values(ids).every(isTokenId),
  { error: `expected ids from 0 to ${MAX_ID} by token` },
);

/** A normalizer, pre-tokenizer or decoder. */
type Part = { type: string; [setting: string]: unknown };

const part = <T extends string>(type: T, settings: z.ZodRawShape = {}) =>
  z.looseObject({ ...settings, type: z.literal(type) });

/** One of these parts, or a sequence of them, nested to a small depth. */
function partOf(list: string, kinds: [ReturnType<typeof part>, ...ReturnType<typeof part>[]]) {
  const names = kinds.map(({ shape }) => (shape.type as z.ZodLiteral<string>).value).join(", ");
  const oneOf = (all: typeof kinds) =>
    z.discriminatedUnion("type", all, {
      error: ({ input }) => `expected ${names} or Sequence, got ${quote(Object(input).type)}`,
    });
  let any = oneOf(kinds);
  for (let depth = 0; depth < 3; depth++) any = oneOf([...kinds, part("Sequence", { [list]: z.array(any) })]);
  return any as z.ZodType<Part>;
}

const pattern = z.union([z.strictObject({ String: z.string() }), z.strictObject({ Regex: z.string() })], {
  error: "expected { String } or { Regex }",
});
const replace = part("Replace", {
  pattern,
  content: z.string().regex(/^[^$]*$/, "expected a text without $, which JavaScript interprets differently"),
});
/** Prefixes and suffixes must be empty: others belong to vocabularies of words, not of bytes. */
const nothing = z.literal("", { error: "expected none, as byte-level BPE has it" }).nullish();

const normalizer = partOf("normalizers", [
  part("NFC"),
  part("NFD"),
  part("NFKC"),
  part("NFKD"),
  part("Prepend", { prepend: z.string() }),
  replace,
]);
const preTokenizer = partOf("pretokenizers", [
  part("Split", { pattern, behavior: z.literal("Isolated"), invert: z.literal(false) }),
  part("Digits", { individual_digits: z.boolean() }),
  part("Punctuation", { behavior: z.literal("Isolated").optional() }),
  part("ByteLevel", {
    add_prefix_space: z.boolean(),
    trim_offsets: z.boolean(),
    use_regex: z.boolean().optional(),
  }),
]).refine(endsInBytes, "expected ByteLevel as the last step: the tokens are of bytes");
const decoder = partOf("decoders", [
  part("ByteLevel", { add_prefix_space: z.boolean(), trim_offsets: z.boolean() }),
  part("Fuse"),
  replace,
]);

function endsInBytes({ type, pretokenizers }: Part): boolean {
  const last = Array.isArray(pretokenizers) ? (pretokenizers.at(-1) as Part | undefined) : undefined;
  return type === "ByteLevel" || (last !== undefined && endsInBytes(last));
}

const isPair = (merge: unknown): boolean =>
  Array.isArray(merge) && merge.length === 2 && merge.every((token) => typeof token === "string");
const isText = (merge: unknown): boolean => typeof merge === "string" && /^[^ ]+ [^ ]+$/.test(merge);

/** Likewise a function. */
const merges = z.custom<(string | [string, string])[]>(
  (list) => Array.isArray(list) && (list.every(isPair) || list.every(isText)),
  { error: 'expected two tokens per merge, all as ["a", "b"] or all as "a b"' },
);

/** The used parts of a Hugging Face `tokenizer.json`; the rest passes through unchanged. */
export const tokenizerFileSchema = z.looseObject({
  added_tokens: z.array(addedToken),
  normalizer: normalizer.nullable(),
  pre_tokenizer: preTokenizer,
  post_processor: z.looseObject({ type: z.string() }).nullable(),
  decoder: decoder.nullable(),
  model: z.looseObject({
    type: z.literal("BPE"),
    dropout: z.literal(0, { error: "expected none: tokens must not depend on chance" }).nullish(),
    continuing_subword_prefix: nothing,
    end_of_word_suffix: nothing,
    vocab: vocabulary,
    merges,
  }),
});

export type TokenizerFile = z.infer<typeof tokenizerFileSchema>;

/** SHA-256 of the content of a `tokenizer.json`: its JSON without white space. */
export const tokenizerChecksum = (json: unknown): string => sha256(JSON.stringify(json));

/** The regular expressions in a file. */
export function expressionsOf({ normalizer, pre_tokenizer, decoder }: TokenizerFile): string[] {
  const found: string[] = [];
  JSON.stringify([normalizer, pre_tokenizer, decoder], (key, value) => {
    if (key === "Regex") found.push(String(value));
    return value;
  });
  return found;
}
