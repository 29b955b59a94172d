/** @file Adding texts to PNG files (https://www.w3.org/TR/png-3/#11textinfo), as `png.ts` reads them. */
import { joinBytes } from "../bytes.ts";
import { UsageError } from "../errors.ts";

/** Signature and header chunk: IHDR has 12 bytes around 13. */
const HEADER_END = 8 + 25;
const utf8 = new TextEncoder();

/**
 * Adds texts to a PNG, after its header chunk and in the order of `text`'s keys: as `tEXt` where Latin-1 suffices,
 * as `iTXt` (UTF-8) elsewhere.
 * @param text keywords of 1 to 79 printable Latin-1 characters without spaces at the ends or doubled, and their texts.
 * @throws UsageError for a keyword that PNG does not allow, or anything but a text without NUL.
 */
export function addPngText(png: Uint8Array, text: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const added = Object.entries(text).map(([keyword, value]) => textChunk(keyword, value));
  return joinBytes([png.subarray(0, HEADER_END), ...added, png.subarray(HEADER_END)]);
}

function textChunk(keyword: string, text: string): Uint8Array {
  if (!/^(?! )(?!.* {2})[\x20-\x7e\xa1-\xff]{1,79}(?<! )$/.test(keyword)) {
    throw new UsageError(
      `PNG text: expected a keyword of 1 to 79 Latin-1 characters, got ${JSON.stringify(keyword)}`,
    );
  }
  if (typeof text !== "string" || text.includes("\0"))
    throw new UsageError(
      `PNG text ${keyword}: expected a text without NUL, got ${typeof text === "string" ? "one with NUL" : String(text)}`,
    );
  const isLatin1 = /^[\n\x20-\x7e\xa0-\xff]*$/.test(text);
  return isLatin1
    ? chunk("tEXt", latin1(`${keyword}\0${text}`))
    : chunk("iTXt", joinBytes([latin1(`${keyword}\0\0\0\0\0`), utf8.encode(text)]));
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = joinBytes([new Uint8Array(4), latin1(type), data, new Uint8Array(4)]);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(4, -4)));
  return bytes;
}

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** The checksum of PNG's chunks (polynomial 0xedb88320, reflected). Texts are short: bit by bit is fast enough. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
