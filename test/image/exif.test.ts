/** @file The texts of EXIF data: in both orders of bytes, inline and apart, and cut off. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, onTestFinished, test } from "vitest";
import { exifTexts } from "../../src/image/exif.ts";
import { readImageText } from "../../src/image/index.ts";

const LONG = "a program with a long name";

/** EXIF data with `ImageDescription` of two letters, inside its entry, and `Software`, behind the entries. */
function exifData(order: "II" | "MM", type = 2): Buffer {
  const isLittle = order === "II";
  const number = (value: number, size: 2 | 4) => {
    const bytes = Buffer.alloc(size);
    if (isLittle) bytes.writeUIntLE(value, 0, size);
    else bytes.writeUIntBE(value, 0, size);
    return bytes;
  };
  const start = 8 + 2 + 2 * 12 + 4;
  return Buffer.concat([
    Buffer.from("Exif\0\0"),
    Buffer.from(order),
    number(42, 2),
    number(8, 4),
    number(2, 2),
    ...[number(0x010e, 2), number(type, 2), number(3, 4), Buffer.from("ab\0\0")],
    ...[number(0x0131, 2), number(type, 2), number(LONG.length + 1, 4), number(start, 4)],
    number(0, 4),
    Buffer.from(`${LONG}\0`),
  ]);
}

describe.each(["II", "MM"] as const)("in the order %s", (order) => {
  test("texts inside their entry, and behind the entries", () => {
    expect(exifTexts(exifData(order))).toEqual({ xprompt: "ab", Software: LONG });
  });
  test("a text that is cut off is missing", () => {
    expect(exifTexts(exifData(order).subarray(0, -2))).toEqual({ xprompt: "ab" });
  });
  test("what is no text is missing", () => {
    expect(exifTexts(exifData(order, 7))).toEqual({});
  });
});

test("no data, no texts", () => {
  expect(exifTexts(new Uint8Array(0))).toEqual({});
});

test("readImageText: a JPEG without EXIF has none; what is no picture is refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-exif-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const picture = { create: { width: 8, height: 8, channels: 3, background: "red" } } as const;
  await sharp(picture).jpeg().toFile(join(folder, "plain.jpg"));
  expect(await readImageText(join(folder, "plain.jpg"))).toEqual({});
  await writeFile(join(folder, "broken.jpg"), Buffer.alloc(20));
  await expect(readImageText(join(folder, "broken.jpg"))).rejects.toThrow(/expected a JPEG or WebP image/);
});
