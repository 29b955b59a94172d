/**
 * @file The vocabulary of a Chameleon-family model: text, image codes, special tokens and X-Prompt (XP) tokens are rows
 * of one embedding table. All tokens are found by *name* in the checkpoint's `tokenizer.json`, so any member of the family
 * works, whatever its ids.
 *
 * Models of this project use Chameleon's order, so that `transformers` can read their files:
 *
 * | ids (K image codes, S XP tokens) | tokens |
 * |---|---|
 * | 0, 1, 2, 3 | `<s>` `<pad>` `</s>` `<unk>` |
 * | 4 … 3+K | image codes 0 … K−1: `IMGIMGAZ`, `IMGIMGBZ`, … |
 * | 4+K … 7+K | `<eoss>` end of image, `<racm3:break>` begin of image, `<reserved08706>` separator, `<image>` placeholder |
 * | 8+K … 7+K+S | `<xp00>`, `<xp01>`, … |
 * | 8+K+S … | text: the 256 bytes, then one token per merge |
 */
import { XPromptError } from "../../errors.ts";
import { quote } from "../../runtime/safetensors-header.ts";
import type { TokenizerFile } from "./tokenizer-file.ts";

const LETTERS = "ABCDEFGHIJ";
const IMAGE_TOKEN = /^IMGIMG([A-J]+)Z$/;
const XP_TOKEN = /^<xp(\d+)>$/;
const RESERVED_TOKEN = /^<reserved\d+>$/;
const CONTROL_TOKEN = /^<(?:s|pad|\/s|unk|mask|image|eoss|racm3:break|sentinel:\d+)>$/;
const SEPARATOR = "<reserved08706>";
/** Meta's name of the token that `transformers` calls `<image>`. */
export const IMAGE_PLACEHOLDER = "<reserved08707>";

/** The name of an image code: its decimal digits as letters, 123 → `IMGIMGBCDZ`. */
export function imageTokenName(code: number): string {
  return `IMGIMG${Array.from(String(code), (digit) => LETTERS[Number(digit)]).join("")}Z`;
}

/** The name of the XP token at `index`: 7 → `<xp07>`. */
export function xpTokenName(index: number): string {
  return `<xp${String(index).padStart(2, "0")}>`;
}

/** Whether a token of this name controls the model and must never be encoded from a user's text. */
export function isControlName(name: string): boolean {
  return [IMAGE_TOKEN, XP_TOKEN, RESERVED_TOKEN, CONTROL_TOKEN].some((pattern) => pattern.test(name));
}

/**
 * Byte → its printable character in byte-level vocabularies: printable Latin-1 characters represent themselves, the other
 * 68 bytes use the characters from U+0100 on.
 */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

export interface VocabularyLayout {
  /** Size of the image tokenizer's codebook. */
  readonly imageCodes: number;
  /** Number of learned X-Prompt tokens, S. */
  readonly xpTokens: number;
  /** Text tokens, in order of their ids. */
  readonly textTokens: readonly string[];
}

/** Token names of a model of this project; the index of a name is its id (the file comment gives the order). */
export function buildVocabulary({ imageCodes, xpTokens, textTokens }: VocabularyLayout): string[] {
  return [
    ...["<s>", "<pad>", "</s>", "<unk>"],
    ...Array.from({ length: imageCodes }, (_, code) => imageTokenName(code)),
    ...["<eoss>", "<racm3:break>", SEPARATOR, "<image>"],
    ...Array.from({ length: xpTokens }, (_, index) => xpTokenName(index)),
    ...textTokens,
  ];
}

/** The ids of text tokens, image codes and special tokens, which share one embedding table. */
export class Vocabulary {
  /** The number of rows of the embedding table: the largest id + 1. */
  readonly size: number;
  readonly bos: number;
  readonly pad: number;
  readonly eos: number;
  readonly sep: number;
  readonly beginImage: number;
  readonly endImage: number;
  /** Image code → token id, `[codes]`. */
  readonly imageTokens: Int32Array;
  /** Token id → image code, −1 for other tokens, `[size]`. */
  readonly codeOfToken: Int32Array;
  /** Ids of the X-Prompt tokens in order; empty if the model has none. */
  readonly xp: readonly number[];
  /** Ids of the ordinary text tokens, ascending: the tokens of descriptions. */
  readonly textTokens: Int32Array;
  private readonly names: (string | undefined)[] = [];
  private readonly text: Uint8Array;

  /** @throws XPromptError naming the token that is missing, duplicate or misplaced */
  constructor(file: TokenizerFile) {
    const ids = new Map(Object.entries(file.model.vocab));
    for (const { content, id } of file.added_tokens) ids.set(content, id);
    for (const [name, id] of ids) {
      if (this.names[id] !== undefined)
        throw broken(`two tokens, ${quote(this.names[id])} and ${quote(name)}, have id ${id}`);
      this.names[id] = name;
    }
    const idOf = (name: string): number => {
      const id = ids.get(name);
      if (id === undefined) throw broken(`expected a token ${name}, found none`);
      return id;
    };
    this.size = this.names.length;
    this.bos = idOf("<s>");
    this.pad = idOf("<pad>");
    this.eos = idOf("</s>");
    this.sep = idOf(SEPARATOR);
    this.beginImage = idOf("<racm3:break>");
    this.endImage = idOf("<eoss>");

    this.imageTokens = Int32Array.from(numbered(ids, IMAGE_TOKEN, codeOf, "image code"));
    if (this.imageTokens.length === 0) throw broken("expected image tokens named IMGIMG…Z, found none");
    this.codeOfToken = new Int32Array(this.size).fill(-1);
    this.imageTokens.forEach((id, code) => {
      this.codeOfToken[id] = code;
    });
    this.xp = numbered(ids, XP_TOKEN, Number, "XP token");

    const added = new Set(file.added_tokens.map((token) => token.content));
    this.text = Uint8Array.from(this.names, (name) =>
      name === undefined || added.has(name) || isControlName(name) ? 0 : 1,
    );
    this.textTokens = Int32Array.from(this.names.keys()).filter((id) => this.isTextToken(id));
  }

  isImageToken(id: number): boolean {
    return this.codeOfToken[id]! >= 0;
  }

  isTextToken(id: number): boolean {
    return this.text[id] === 1;
  }

  /** The token's name; undefined if no token has this id. */
  nameOf(id: number): string | undefined {
    return this.names[id];
  }

  /** The id of Chameleon's `<reserved…>` token of that number. @throws XPromptError when there is none */
  reserved(number: number): number {
    const name = `<reserved${String(number).padStart(5, "0")}>`;
    const id = this.names.indexOf(name);
    if (id < 0) throw broken(`expected a token ${name}, found none`);
    return id;
  }
}

/** The code of its letters: `BCD` → 123. */
function codeOf(letters: string): number {
  return Number(Array.from(letters, (letter) => LETTERS.indexOf(letter)).join(""));
}

/** Ids of the tokens whose names match `pattern`, by the number in the name, which must run 0, 1, 2, … */
function numbered(
  ids: ReadonlyMap<string, number>,
  pattern: RegExp,
  parse: (captured: string) => number,
  what: string,
): number[] {
  const names = new Map<number, string>();
  for (const name of ids.keys()) {
    const captured = pattern.exec(name)?.[1];
    if (captured === undefined) continue;
    const number = parse(captured);
    if (names.has(number))
      throw broken(`${quote(names.get(number))} and ${quote(name)} both stand for ${what} ${number}`);
    names.set(number, name);
  }
  return Array.from({ length: names.size }, (_, number) => {
    const name = names.get(number);
    if (name === undefined)
      throw broken(`expected ${what}s 0 to ${Math.max(...names.keys())}, ${number} is missing`);
    return ids.get(name)!;
  });
}

function broken(what: string): XPromptError {
  return new XPromptError(`reading the vocabulary: ${what} (is tokenizer.json a Chameleon-family one?)`);
}
