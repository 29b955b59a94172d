/**
 * @file Texts in PNG files (https://www.w3.org/TR/png-3/#11textinfo): a PNG is a signature followed by chunks, each
 * with a length, a four-letter type, data and a CRC; `tEXt`, `zTXt` and `iTXt` chunks have a keyword and a text.
 */
import { crc32, inflateSync } from "node:zlib";
import { messageOf, XPromptError } from "../errors.ts";

const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
/** The most bytes of a decompressed text. */
const maxUnpacked = 2 ** 20;

/**
 * Adds texts to a PNG, after its header chunk and in the order of `text`'s keys: as `tEXt` if Latin-1 suffices, else as
 * `iTXt` (UTF-8).
 * @param text keywords of 1 to 79 printable Latin-1 characters without spaces at the ends or doubled, and their texts.
 * @throws RangeError for a keyword that PNG does not allow, or a NUL in a text.
 */
export function addPngText(png: Uint8Array, text: Readonly<Record<string, string>>): Buffer {
  const headerEnd = signature.length + 25; // IHDR: 12 bytes around 13
  const added = Object.entries(text).map(([keyword, value]) => textChunk(keyword, value));
  return Buffer.concat([png.subarray(0, headerEnd), ...added, png.subarray(headerEnd)]);
}

/**
 * The texts in a PNG, by keyword; of a repeated keyword, the last.
 * @throws XPromptError when it is not a PNG, is cut off, or a text chunk is broken.
 */
export function parsePngText(png: Uint8Array, doing: string): Record<string, string> {
  const bytes = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  if (!bytes.subarray(0, 8).equals(signature)) {
    throw new XPromptError(`${doing}: expected a PNG, got something else (use a picture that xprompt made)`);
  }
  const texts: [string, string][] = [];
  for (let at = signature.length; at < bytes.length; ) {
    const length = at + 12 <= bytes.length ? bytes.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    const end = at + 12 + length;
    if (end > bytes.length)
      throw new XPromptError(`${doing}: expected a complete PNG, got one that is cut off (copy it again)`);
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (type === "IEND") break;
    const read = readers[type];
    if (read) {
      if (crc32(bytes.subarray(at + 4, end - 4)) !== bytes.readUInt32BE(end - 4)) {
        throw new XPromptError(
          `${doing}: expected complete texts, got a ${type} chunk with a wrong checksum (copy it again)`,
        );
      }
      try {
        texts.push(read(bytes.subarray(at + 8, end - 4)));
      } catch (error) {
        throw new XPromptError(
          `${doing}: expected complete texts, got a broken ${type} chunk: ${messageOf(error)}`,
        );
      }
    }
    at = end;
  }
  return Object.fromEntries(texts);
}

/** Readers of the kinds of chunks. */
const readers: Readonly<Record<string, (data: Buffer) => [keyword: string, text: string]>> = {
  tEXt(data) {
    const [keyword, rest] = cutAtNul(data);
    return [keyword.toString("latin1"), rest.toString("latin1")];
  },
  zTXt(data) {
    const [keyword, rest] = cutAtNul(data); // then a byte with the method: 0, deflate
    return [keyword.toString("latin1"), unpack(rest.subarray(1)).toString("latin1")];
  },
  iTXt(data) {
    const [keyword, rest] = cutAtNul(data); // then the compression flag and the method
    const [, afterLanguage] = cutAtNul(rest.subarray(2));
    const [, text] = cutAtNul(afterLanguage); // after the translated keyword
    return [keyword.toString("latin1"), (rest[0] === 1 ? unpack(text) : text).toString("utf8")];
  },
};

function cutAtNul(data: Buffer): [before: Buffer, after: Buffer] {
  const at = data.indexOf(0);
  if (at < 0) throw new RangeError("a field without end");
  return [data.subarray(0, at), data.subarray(at + 1)];
}

function unpack(data: Buffer): Buffer {
  return inflateSync(data, { maxOutputLength: maxUnpacked });
}

function textChunk(keyword: string, text: string): Buffer {
  if (!/^(?! )(?!.* {2})[\x20-\x7e\xa1-\xff]{1,79}(?<! )$/.test(keyword)) {
    throw new RangeError(
      `PNG text: expected a keyword of 1 to 79 Latin-1 characters, got ${JSON.stringify(keyword)}`,
    );
  }
  if (text.includes("\0")) throw new RangeError(`PNG text ${keyword}: expected no NUL in the text, got one`);
  const latin1 = /^[\n\x20-\x7e\xa0-\xff]*$/.test(text);
  return latin1
    ? chunk("tEXt", Buffer.from(`${keyword}\0${text}`, "latin1"))
    : chunk(
        "iTXt",
        Buffer.concat([Buffer.from(`${keyword}\0\0\0\0\0`, "latin1"), Buffer.from(text, "utf8")]),
      );
}

function chunk(type: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, -4)), bytes.length - 4);
  return bytes;
}
