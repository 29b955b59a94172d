/**
 * @file The text tokenizer: encodes text and decodes token ids with a byte-level BPE `tokenizer.json`.
 *
 * Text comes from users, so it must only become *text* tokens: `"<s>"` or `"IMGIMGAZ"` in an instruction is encoded like
 * any other word. The encoder is built from a vocabulary without control tokens.
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { messageOf, XPromptError } from "../../errors.ts";
import { readJson } from "../../runtime/files.ts";
import { checkJson } from "../../runtime/json.ts";
import { quote } from "../../runtime/safetensors-header.ts";
import { TimeLimitError, withTimeLimit } from "../../runtime/time-limit.ts";
import { exactPreTokenizer } from "./pre-tokenizer.ts";
import {
  expressionsOf,
  type TokenizerFile,
  tokenizerChecksum,
  tokenizerFileSchema,
} from "./tokenizer-file.ts";
import { WORD } from "./train-bpe.ts";
import { BYTE_CHARACTERS, Vocabulary } from "./vocabulary.ts";

/** The longest text, in UTF-16 code units: far above any context length. */
export const MAX_TEXT_LENGTH = 100_000;

/** The used part of the library, whose own declarations do not resolve under `nodenext`. */
interface BytePairEncoder {
  encode(text: string, options: { add_special_tokens: false }): { ids: number[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: false }): string;
}

interface LoadOptions {
  /** `tokenizer_sha256` of the `config.json` beside the file, if there is one. */
  readonly checksum?: string;
}

/** Byte-level BPE, as in a `tokenizer.json` of Hugging Face, with the ids of all tokens of the vocabulary. */
export class TextTokenizer {
  readonly vocabulary: Vocabulary;
  /** SHA-256 of the content of the file. */
  readonly checksum: string;
  private readonly encoder: () => BytePairEncoder;
  /** Whether the file has regular expressions that may take hours on a short text. */
  private readonly mayHang: boolean;

  /**
   * @param json a parsed `tokenizer.json`
   * @param checksum of the file's content, if the caller knows it
   * @throws XPromptError when it is not the tokenizer of a Chameleon-family model
   */
  constructor(json: unknown, checksum = tokenizerChecksum(json)) {
    const file = checkJson(json, tokenizerFileSchema, "reading a tokenizer");
    this.checksum = checksum;
    this.mayHang = expressionsOf(file).some((expression) => expression !== WORD);
    this.vocabulary = new Vocabulary(file);
    const text = textOnly(file, this.vocabulary);
    let encoder: BytePairEncoder | undefined;
    // Made for the first text: a request without words needs none.
    this.encoder = () => (encoder ??= encoderOf(text));
    if (this.mayHang) this.encoder(); // reports expressions that are none
  }

  /**
   * Reads a `tokenizer.json` from disk.
   * @throws XPromptError as the constructor, or when the file is damaged
   */
  static async load(path: string, options: LoadOptions = {}): Promise<TextTokenizer> {
    return TextTokenizer.fromJson(await readJson(path, z.unknown(), "tokenizer"), path, options);
  }

  /** The same of the content of a file. @param path for errors */
  static fromJson(json: unknown, path: string, { checksum }: LoadOptions = {}): TextTokenizer {
    const found = tokenizerChecksum(json);
    if (checksum !== undefined && found !== checksum)
      throw new XPromptError(
        `reading tokenizer ${path}: expected the checksum in config.json, got another: the file is damaged (copy the folder again)`,
      );
    try {
      return new TextTokenizer(json, found);
    } catch (error) {
      throw new XPromptError(`${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /**
   * Token ids of `text`. Special tokens are neither added nor recognized. Any string can be encoded; a lone surrogate,
   * which UTF-8 cannot represent, becomes U+FFFD.
   * @throws XPromptError when the text is longer than `MAX_TEXT_LENGTH`
   */
  encode(text: string): number[] {
    if (text.length > MAX_TEXT_LENGTH) {
      throw new XPromptError(
        `encoding text: expected at most ${MAX_TEXT_LENGTH} characters, got ${text.length} (shorten it)`,
      );
    }
    return this.limited("encoding text", text.length, () =>
      this.encoder().encode(text, { add_special_tokens: false }),
    ).ids;
  }

  /**
   * The text of `ids`: `decode(encode(text)) === text` for every well-formed string. Incomplete characters, as when
   * generation stopped inside one, become U+FFFD. Image, XP and other control tokens are omitted.
   * @throws XPromptError when an id is not in the vocabulary
   */
  decode(ids: Iterable<number>): string {
    const text: number[] = [];
    for (const id of ids) {
      if (this.vocabulary.isTextToken(id)) text.push(id);
      else if (this.vocabulary.nameOf(id) === undefined)
        throw new XPromptError(
          `decoding tokens: expected ids of the vocabulary (below ${this.vocabulary.size}), got ${id}`,
        );
    }
    if (text.length === 0) return "";
    return this.limited("decoding tokens", text.length, () =>
      this.encoder().decode(text, { clean_up_tokenization_spaces: false }),
    );
  }

  /** Runs the library on a text, with a time limit if the file has its own regular expressions. */
  private limited<T>(doing: string, length: number, work: () => T): T {
    try {
      return this.mayHang ? withTimeLimit(Math.ceil(TIME_LIMIT + TIME_PER_CHARACTER * length), work) : work();
    } catch (error) {
      const got =
        error instanceof TimeLimitError ? "a regular expression that takes longer" : messageOf(error);
      throw new XPromptError(
        `${doing}: expected tokenizer.json to read ${length} characters in a moment, got ${got} (use the tokenizer.json that was published with the model)`,
      );
    }
  }
}

function encoderOf(file: TokenizerFile): BytePairEncoder {
  try {
    return new Tokenizer(file, {});
  } catch (error) {
    throw new XPromptError(`reading a tokenizer: ${messageOf(error)}`, { cause: error });
  }
}

/** Milliseconds per text, and per character: thirty times the usual time. */
const TIME_LIMIT = 1000;
const TIME_PER_CHARACTER = 0.1;

/** The tokenizer without control tokens. @throws XPromptError when it cannot encode every text */
function textOnly(file: TokenizerFile, vocabulary: Vocabulary): TokenizerFile {
  const isText = (token: string): boolean => vocabulary.isTextToken(file.model.vocab[token] ?? -1);
  const missing = BYTE_CHARACTERS.findIndex((character) => !isText(character));
  if (missing >= 0) {
    throw new XPromptError(
      `reading a tokenizer: expected byte-level BPE with all 256 bytes, byte ${missing} is missing`,
    );
  }
  const merges = file.model.merges.filter((merge) => {
    const token = (typeof merge === "string" ? merge.split(" ") : merge).join("");
    if (file.model.vocab[token] === undefined) {
      throw new XPromptError(
        `reading a tokenizer: the merge to ${quote(token)} has no token (is the file whole?)`,
      );
    }
    return isText(token);
  });
  const vocab = Object.fromEntries(Object.entries(file.model.vocab).filter(([token]) => isText(token)));
  return {
    ...file,
    added_tokens: [],
    pre_tokenizer: exactPreTokenizer(file.pre_tokenizer),
    post_processor: null,
    model: { ...file.model, vocab, merges },
  };
}
