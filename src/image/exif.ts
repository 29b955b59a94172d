/** @file Texts in EXIF data (https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf, section 4.6): those that `encodeImage` writes. */

/** Tags of the first directory, by the keywords of the same texts in a PNG. */
const TAGS = { Software: 0x0131, xprompt: 0x010e } as const;
const ASCII = 2;
/** Bytes before the TIFF header: "Exif" and two zeros. */
const PREFIX = 6;

/** The texts by keyword. Data that are cut off have none behind the cut. */
export function exifTexts(exif: Uint8Array): Record<string, string> {
  const texts: Record<string, string> = {};
  const tiff = Buffer.from(exif.buffer, exif.byteOffset, exif.byteLength).subarray(PREFIX);
  const isLittle = tiff.toString("latin1", 0, 2) === "II";
  const number = (at: number, size: 2 | 4) =>
    at + size > tiff.length ? 0 : isLittle ? tiff.readUIntLE(at, size) : tiff.readUIntBE(at, size);
  const start = number(4, 4);
  for (let i = 0; i < number(start, 2); i++) {
    const entry = start + 2 + 12 * i;
    const keyword = Object.entries(TAGS).find(([, tag]) => tag === number(entry, 2))?.[0];
    if (keyword === undefined || number(entry + 2, 2) !== ASCII) continue;
    const count = number(entry + 4, 4);
    const at = count <= 4 ? entry + 8 : number(entry + 8, 4);
    if (at + count <= tiff.length)
      texts[keyword] = tiff.toString("latin1", at, at + count).replace(/\0.*$/s, "");
  }
  return texts;
}
