import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError, XPromptError } from "../../src/errors.ts";
import {
  createImage,
  encodeImage,
  encodePng,
  type Image,
  loadImage,
  readImageText,
  readPngText,
  saveImage,
  savePng,
  toBytes,
} from "../../src/image/index.ts";
import { Random } from "../../src/random.ts";
import { makeChunk, makeHeader, pngSignature, readChunks } from "./png-parts.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "png-"));
});
afterAll(() => rm(folder, { recursive: true }));

function noise(width: number, height: number): Image {
  const image = createImage(width, height);
  const random = Random.of("noise");
  for (let i = 0; i < image.data.length; i++) image.data[i] = random.uniform(-0.2, 1.2);
  return image;
}

/** A PNG with these chunks. */
const made = (...chunks: Buffer[]) =>
  Buffer.concat([pngSignature, makeHeader(8, 8), ...chunks, makeChunk("IEND", Buffer.alloc(0))]);

describe("encodePng", () => {
  test("is an 8-bit RGB PNG that another decoder reads with the same pixels", async () => {
    const image = noise(19, 11);
    const png = await encodePng(image);
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height, info.channels]).toEqual([19, 11, 3]);
    expect([...data]).toEqual([...toBytes(image)]);
    expect(toBytes(await loadImage(png))).toEqual(toBytes(image));
  });

  test("puts each text into its own chunk after the header, Latin-1 where it suffices", async () => {
    const text = {
      Software: "xprompt",
      seed: "7",
      'ein "Wort"': "größer\nzwei",
      prompt: "雨 → ☀️",
      empty: "",
    };
    const png = await encodePng(noise(8, 8), { text });
    const chunks = readChunks(png);
    expect(chunks.slice(0, 6).map(({ type }) => type)).toEqual([
      "IHDR",
      "tEXt",
      "tEXt",
      "tEXt",
      "iTXt",
      "tEXt",
    ]);
    expect(chunks.at(-1)).toEqual({ type: "IEND", data: Buffer.alloc(0) });
    expect(chunks[3]!.data).toEqual(Buffer.from('ein "Wort"\0größer\nzwei', "latin1"));
    expect(chunks[4]!.data).toEqual(Buffer.concat([Buffer.from("prompt\0\0\0\0\0"), Buffer.from("雨 → ☀️")]));
    expect(await readPngText(png)).toEqual(text);
    expect((await sharp(png).metadata()).comments).toContainEqual({ keyword: "Software", text: "xprompt" });
    expect(toBytes(await loadImage(png))).toEqual(toBytes(noise(8, 8)));
  });

  test("gives the same bytes for the same picture and texts", async () => {
    const options = { text: { a: "1", b: "→" } };
    const [first, second] = [
      await encodePng(noise(32, 32), options),
      await encodePng(noise(32, 32), options),
    ];
    expect(first.equals(second)).toBe(true);
  });

  test.each(["", " a", "a ", "a  b", "x".repeat(80), "雨", "a\0b", "a\nb"])(
    "refuses the keyword %j",
    async (keyword) => {
      await expect(encodePng(noise(8, 8), { text: { [keyword]: "" } })).rejects.toThrow(UsageError);
      await expect(encodeImage("a.png", noise(8, 8), { text: { [keyword]: "" } })).rejects.toThrow(
        UsageError,
      );
    },
  );

  test("refuses a NUL in a text", async () => {
    await expect(encodePng(noise(8, 8), { text: { a: "\0" } })).rejects.toThrow(/without NUL/);
  });
});

describe("savePng and readPngText", () => {
  test("round trip through a file, with nothing else left in the folder", async () => {
    const path = join(folder, "a.png");
    await savePng(path, noise(9, 9), { text: { settings: '{"seed":1}' } });
    await savePng(path, noise(10, 9), { text: { settings: '{"seed":2}' } });
    expect(await readPngText(path)).toEqual({ settings: '{"seed":2}' });
    expect((await loadImage(path)).width).toBe(10);
    expect(await readdir(folder)).toEqual(["a.png"]);
    await rm(path);
  });

  test("a missing folder is named", async () => {
    await expect(savePng(join(folder, "no", "a.png"), noise(8, 8))).rejects.toThrow(/no folder .*no \(/);
  });

  test("packed texts and foreign languages are read", async () => {
    const packed = deflateSync("viel Regen");
    const png = made(
      makeChunk("zTXt", Buffer.concat([Buffer.from("z\0\0"), packed])),
      makeChunk("iTXt", Buffer.concat([Buffer.from("i\0\x01\0de\0übersetzt\0"), packed])),
      makeChunk("iTXt", Buffer.from("plain\0\0\0de\0übersetzt\0→")),
    );
    expect(await readPngText(png)).toEqual({ z: "viel Regen", i: "viel Regen", plain: "→" });
  });

  const whole = made(makeChunk("tEXt", Buffer.from("a\0b")));
  const damaged = Buffer.from(whole);
  damaged[whole.indexOf("a\0b")]! ^= 1;
  test.each<[string, RegExp, Buffer]>([
    ["another file", /expected a PNG, got something else/, Buffer.from("hello")],
    ["a cut", /cut off/, whole.subarray(0, -14)],
    ["a chunk that claims too much", /cut off/, Buffer.concat([pngSignature, Buffer.alloc(12, 0xff)])],
    ["a wrong checksum", /tEXt chunk with a wrong checksum/, damaged],
    ["a text without keyword", /broken tEXt chunk/, made(makeChunk("tEXt", Buffer.from("ab")))],
    ["an iTXt that ends early", /broken iTXt chunk/, made(makeChunk("iTXt", Buffer.from("a\0\0\0en\0")))],
    ["rubbish for a packed text", /broken zTXt chunk/, made(makeChunk("zTXt", Buffer.from("a\0\0rubbish")))],
    [
      "a packed text of 64 MB",
      /broken zTXt chunk/,
      made(makeChunk("zTXt", Buffer.concat([Buffer.from("a\0\0"), deflateSync(Buffer.alloc(64e6))]))),
    ],
  ])("%s is refused in one line that names the file", async (_, message, bytes) => {
    const path = join(folder, "broken.png");
    await writeFile(path, bytes);
    expect((await readFile(path)).length).toBe(bytes.length);
    const error = await readPngText(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(XPromptError);
    expect((error as XPromptError).message).toMatch(message);
    expect((error as XPromptError).message).toContain(path);
    await rm(path);
  });
});

test.each([".png", ".jpg", ".jpeg", ".webp"])("a %s needs no texts", async (ending) => {
  const image = createImage(32, 16, [0.2, 0.4, 0.6]);
  const path = join(folder, `plain${ending}`);
  await saveImage(path, image);
  await saveImage(path, image, { text: { xprompt: "" } });
  const { width, height, data } = await loadImage(path);
  expect([width, height]).toEqual([32, 16]);
  expect(data[0]).toBeCloseTo(0.2, 1);
});

test.each([".jpg", ".webp"])("a %s refuses texts that it cannot keep", async (ending) => {
  const saved = saveImage(join(folder, `author${ending}`), createImage(8, 8), { text: { Author: "me" } });
  await expect(saved).rejects.toThrow(/text: expected Software or xprompt, .* got "Author" \(write a .png\)/);
});

test.each([".jpg", ".webp"])("a %s keeps long texts whole, or refuses them", async (ending) => {
  const path = join(folder, `long${ending}`);
  const save = (xprompt: string) => saveImage(path, createImage(8, 8), { text: { xprompt } });
  const long = "x".repeat(60_000);
  await save(long);
  expect(await readImageText(path)).toEqual({ xprompt: long });
  await expect(save(`${long}x`)).rejects.toThrow(/at most 60000 characters .* got 60001 \(shorten it/);
  await expect(save("é".repeat(10_001))).rejects.toThrow("got 60006");
  await expect(save("before\0after")).rejects.toThrow("expected no NUL character");
});

test("the texts of a PNG are read whatever its name", async () => {
  const path = join(folder, "renamed.jpg");
  await writeFile(path, await encodePng(createImage(8, 8), { text: { xprompt: "seed 7" } }));
  expect(await readImageText(path)).toEqual({ xprompt: "seed 7" });
});

test("a quality makes JPEG and WebP smaller or larger, not PNG; one out of range is refused", async () => {
  const image = noise(64, 64);
  const path = join(folder, "picture");
  const sizeOf = async (ending: string, quality?: number) => {
    await saveImage(path + ending, image, { quality });
    return (await readFile(path + ending)).length;
  };
  for (const ending of [".jpg", ".webp"]) {
    expect(await sizeOf(ending, 30)).toBeLessThan(await sizeOf(ending));
    expect(await sizeOf(ending, 92)).toBe(await sizeOf(ending));
  }
  expect(await sizeOf(".png", 30)).toBe(await sizeOf(".png"));
  for (const quality of [0, 101, 1.5, Number.NaN, "90" as unknown as number])
    for (const ending of [".png", ".jpg", ".webp"])
      await expect(encodeImage(path + ending, image, { quality })).rejects.toThrow(UsageError);
});
