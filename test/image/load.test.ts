import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError, XPromptError } from "../../src/errors.ts";
import { type Image, loadImage, padBox, toBytes } from "../../src/image/index.ts";
import { loadPicture } from "../../src/image/picture.ts";
import { Random } from "../../src/random.ts";
import { makeChunk, makeHeader, pngSignature } from "./png-parts.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "images-"));
});
afterAll(() => rm(folder, { recursive: true }));

type Pixel = readonly number[];

/** A sharp picture whose pixel at (x, y) is `colour(x, y)`. */
function picture(width: number, height: number, colour: (x: number, y: number) => Pixel): Sharp {
  const pixels = Array.from({ length: width * height }, (_, i) => colour(i % width, Math.floor(i / width)));
  const channels = pixels[0]!.length as 1 | 2 | 3 | 4;
  return sharp(Buffer.from(pixels.flat()), { raw: { width, height, channels } });
}

const flat = (colour: Pixel) => picture(16, 12, () => colour);
/** One colour in 16 bits; 257 steps are one step of 8 bits. */
const deep = (colour: Pixel) =>
  sharp(
    Uint16Array.from({ length: 16 * 12 * 3 }, (_, i) => colour[i % 3]! * 257),
    { raw: { width: 16, height: 12, channels: 3 } },
  ).toColourspace("rgb16");
const colourful = (x: number, y: number): Pixel => [x * 20, y * 20, (x * 7 + y * 3) % 256];

function pixelOf(image: Image, x: number, y: number): number[] {
  return [...toBytes(image).subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3)];
}

function expectClose(got: Pixel, wanted: Pixel, tolerance: number): void {
  const worst = Math.max(...wanted.map((value, c) => Math.abs(value - got[c]!)));
  expect(worst, `${got} against ${wanted}`).toBeLessThanOrEqual(tolerance);
}

async function lineOf(source: string | Uint8Array, name?: string): Promise<string> {
  const error = await loadImage(source, { name }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XPromptError);
  const { message } = error as XPromptError;
  expect(message).not.toContain("\n");
  return message;
}

describe("supported formats", () => {
  test.each(["png", "webp"] as const)("%s without loss, from a file and from bytes", async (format) => {
    const bytes = await picture(12, 10, colourful).toFormat(format, { lossless: true }).toBuffer();
    const path = join(folder, `picture.${format}`);
    await writeFile(path, bytes);
    for (const source of [path, bytes]) {
      const image = await loadImage(source);
      expect([image.width, image.height]).toEqual([12, 10]);
      for (let y = 0; y < 10; y++)
        for (let x = 0; x < 12; x++) expect(pixelOf(image, x, y)).toEqual(colourful(x, y));
    }
  });

  test("JPEG, progressive too, and by its content whatever its name", async () => {
    const path = join(folder, "misnamed.png");
    await writeFile(path, await flat([10, 200, 90]).jpeg({ progressive: true, quality: 100 }).toBuffer());
    expectClose(pixelOf(await loadImage(path), 3, 3), [10, 200, 90], 2);
  });

  // Position in the stored picture of size w × h of the pixel shown at (x, y) (EXIF 2.3, 4.6.4, Orientation).
  const stored: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y, w) => [w - 1 - x, y],
    3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
    4: (x, y, _, h) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y, _, h) => [y, h - 1 - x],
    7: (x, y, w, h) => [w - 1 - y, h - 1 - x],
    8: (x, y, w) => [w - 1 - y, x],
  };
  test.each([1, 2, 3, 4, 5, 6, 7, 8])("EXIF orientation %i is applied", async (orientation) => {
    const [w, h] = [12, 10];
    for (const format of ["png", "jpeg"] as const) {
      const bytes = await picture(w, h, (x, y) =>
        format === "png" ? colourful(x, y) : [x * 20, x * 20, y * 20],
      )
        .withMetadata({ orientation })
        .toFormat(format, { quality: 100, chromaSubsampling: "4:4:4" })
        .toBuffer();
      const image = await loadImage(bytes);
      const [width, height] = orientation < 5 ? [w, h] : [h, w];
      expect([image.width, image.height]).toEqual([width, height]);
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const [sx, sy] = stored[orientation]!(x, y, w, h);
          if (format === "png") expect(pixelOf(image, x, y)).toEqual(colourful(sx, sy));
          else expectClose(pixelOf(image, x, y), [sx * 20, sx * 20, sy * 20], 8);
        }
      }
    }
  });

  test.each<[string, () => Promise<Buffer>, Pixel, number]>([
    ["half transparent red on white", () => flat([255, 0, 0, 128]).png().toBuffer(), [255, 127, 127], 1],
    [
      "nothing at all on white",
      () => flat([0, 0, 0, 0]).webp({ lossless: true }).toBuffer(),
      [255, 255, 255],
      0,
    ],
    ["greyscale", () => flat([77]).toColourspace("b-w").png().toBuffer(), [77, 77, 77], 0],
    ["greyscale JPEG", () => flat([77]).toColourspace("b-w").jpeg().toBuffer(), [77, 77, 77], 1],
    [
      "greyscale with transparency",
      () => flat([0, 128]).toColourspace("b-w").png().toBuffer(),
      [127, 127, 127],
      1,
    ],
    ["16 bits", () => deep([10, 128, 250]).png().toBuffer(), [10, 128, 250], 0],
    ["16-bit greyscale", () => flat([99]).toColourspace("grey16").png().toBuffer(), [99, 99, 99], 0],
    [
      "16 bits with transparency",
      () => flat([0, 0, 255, 51]).toColourspace("rgb16").png().toBuffer(),
      [204, 204, 255],
      1,
    ],
    ["a palette", () => flat([200, 100, 50]).png({ palette: true }).toBuffer(), [200, 100, 50], 1],
    [
      "a palette with transparency",
      () => flat([0, 0, 0, 0]).png({ palette: true }).toBuffer(),
      [255, 255, 255],
      0,
    ],
    [
      "CMYK",
      () => flat([180, 120, 90]).toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer(),
      [180, 120, 90],
      12,
    ],
    ["Display P3", () => flat([180, 120, 90]).withIccProfile("p3").png().toBuffer(), [180, 120, 90], 2],
  ])("%s", async (_, make, wanted, tolerance) => {
    for (const size of [undefined, 8])
      expectClose(pixelOf(await loadImage(await make(), { size }), 4, 4), wanted, tolerance);
  });

  test("of an animation, the first frame", async () => {
    const frames = await Promise.all(
      [
        [255, 0, 0],
        [0, 0, 255],
      ].map((colour) => flat(colour).png().toBuffer()),
    );
    const bytes = await sharp(frames, { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer();
    const image = await loadImage(bytes);
    expect([image.width, image.height, ...pixelOf(image, 0, 0)]).toEqual([16, 12, 255, 0, 0]);
  });
});

describe("size", () => {
  // Three vertical stripes of 20 × 20: red, green, blue; and the same stripes horizontally.
  const stripe = (i: number): Pixel =>
    [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
    ][Math.floor(i / 20)]!;
  const wide = () =>
    picture(60, 20, (x) => stripe(x))
      .png()
      .toBuffer();
  const high = () =>
    picture(20, 60, (_, y) => stripe(y))
      .png()
      .toBuffer();

  test("crop keeps the middle; it is the default", async () => {
    for (const make of [wide, high]) {
      for (const [fit, size] of [
        ["crop", 20],
        [undefined, 40],
      ] as const) {
        const image = await loadImage(await make(), { size, fit });
        expect([image.width, image.height]).toEqual([size, size]);
        for (const at of [4, size / 2, size - 5]) expectClose(pixelOf(image, at, at), [0, 255, 0], 3);
      }
    }
  });

  test("pad keeps all and repeats the outermost pixels", async () => {
    const image = await loadImage(await wide(), { size: 30, fit: "pad" });
    expect([image.width, image.height]).toEqual([30, 30]);
    for (const y of [0, 10, 15, 29]) {
      for (const [x, colour] of [
        [4, [255, 0, 0]],
        [15, [0, 255, 0]],
        [25, [0, 0, 255]],
      ] as const) {
        expectClose(pixelOf(image, x, y), colour, 3);
      }
    }
    const upright = await loadImage(await high(), { size: 30, fit: "pad" });
    for (const x of [0, 15, 29]) expectClose(pixelOf(upright, x, 2), [255, 0, 0], 3);
  });

  test("padBox says where the picture lies", () => {
    expect(padBox(60, 20, 30)).toEqual({ left: 0, top: 10, width: 30, height: 10 });
    expect(padBox(20, 61, 32)).toEqual({ left: 11, top: 0, width: 10, height: 32 });
    expect(padBox(9000, 8, 64)).toEqual({ left: 0, top: 31, width: 64, height: 1 });
  });

  test("a turned picture is cut after turning", async () => {
    const bytes = await picture(60, 20, (x) => stripe(x))
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const image = await loadImage(bytes, { size: 30, fit: "pad" });
    expectClose(pixelOf(image, 15, 4), [255, 0, 0], 3);
    expectClose(pixelOf(image, 15, 25), [0, 0, 255], 3);
  });

  test("wrong options are named, and are no errors of the picture", async () => {
    for (const [options, message] of [
      ...[0, -1, 1.5, Number.NaN, 1e6, "64"].map((size) => [
        { size },
        "size: expected a whole number from 1",
      ]),
      [{ size: 64, fit: "stretch" }, "fit: expected crop or pad, got stretch"],
      [{ reduceTo: 0 }, "reduceTo: expected a number from 1, got 0"],
      [{ sze: 64 }, 'expected size, fit, reduceTo, name, got sze (did you mean "size"?)'],
    ] as [object, string][]) {
      const error = await loadImage(await wide(), options).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(UsageError);
      expect((error as Error).message).toContain(`loadImage: ${message}`);
    }
  });

  test("a very long picture costs no memory", async () => {
    const bytes = await picture(8, 20_000, () => [9, 99, 199])
      .png()
      .toBuffer();
    for (const fit of ["crop", "pad"] as const) {
      expectClose(pixelOf(await loadImage(bytes, { size: 64, fit }), 32, 32), [9, 99, 199], 1);
    }
  });
});

describe("refusals, in one line", () => {
  test.each<[string, RegExp, () => Promise<Uint8Array>]>([
    ["an empty file", /got an empty file/, async () => new Uint8Array(0)],
    ["text", /expected a PNG, JPEG or WebP image, got something else/, async () => Buffer.from("hello")],
    ["GIF", /got GIF \(convert it/, async () => flat([1, 2, 3]).gif().toBuffer()],
    ["TIFF", /got TIFF/, async () => flat([1, 2, 3]).tiff().toBuffer()],
    ["AVIF", /got AVIF/, async () => flat([1, 2, 3]).avif().toBuffer()],
    [
      "SVG",
      /got SVG/,
      async () => Buffer.from("<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>"),
    ],
    [
      "one pixel",
      /at least 8 × 8 pixels, got 1 × 1/,
      () =>
        picture(1, 1, () => [1, 2, 3])
          .png()
          .toBuffer(),
    ],
    [
      "a line",
      /at least 8 × 8 pixels, got 900 × 7/,
      () =>
        picture(900, 7, () => [1, 2, 3])
          .png()
          .toBuffer(),
    ],
    ["only a signature", /broken or truncated/, async () => pngSignature],
    [
      "a PNG signature and rubbish",
      /broken or truncated/,
      async () => Buffer.concat([pngSignature, Buffer.alloc(99, 7)]),
    ],
    [
      "a JPEG marker and rubbish",
      /broken or truncated/,
      async () => Buffer.from([0xff, 0xd8, ...Buffer.alloc(99, 0xff)]),
    ],
  ])("%s", async (_, message, make) => {
    const line = await lineOf(await make(), "photo of a cat");
    expect(line).toMatch(message);
    expect(line).toMatch(/^reading image photo of a cat: /);
  });

  test.each(["png", "jpeg", "webp"] as const)(
    "a %s that is cut off anywhere in its pixels",
    async (format) => {
      const random = Random.of("noise");
      const bytes = await picture(40, 40, () => [0, 0, 0].map(() => random.integer(0, 255)))
        .toFormat(format)
        .toBuffer();
      for (const part of [0.1, 0.3, 0.6, 0.9, 0.99]) {
        expect(await lineOf(bytes.subarray(0, Math.floor(bytes.length * part)))).toMatch(
          /broken or truncated/,
        );
      }
    },
  );

  test("a decompression bomb, by its header, before anything is decoded", async () => {
    const bomb = Buffer.concat([
      pngSignature,
      makeHeader(50_000, 50_000),
      makeChunk("IDAT", Buffer.from("789c030000000001", "hex")),
      makeChunk("IEND", Buffer.alloc(0)),
    ]);
    expect(await lineOf(bomb)).toBe(
      "reading an image: expected at most 64 megapixels, got 50000 × 50000 (make it smaller first)",
    );
  });

  test("a missing file, a folder, and a text with a picture's name, by their paths", async () => {
    const path = join(folder, "notes.png");
    await writeFile(path, "no picture");
    expect(await lineOf(path)).toBe(
      `reading image ${path}: expected a PNG, JPEG or WebP image, got something else (convert it, or use another)`,
    );
    expect(await lineOf(join(folder, "nowhere.png"))).toMatch(/nowhere\.png: .*no such file/);
    expect(await lineOf(folder)).toMatch(/expected a file, got a folder/);
  });

  test("flipped bits never end in anything but a picture or one line", async () => {
    for (const format of ["png", "jpeg", "webp"] as const) {
      const good = await picture(16, 16, colourful).toFormat(format).toBuffer();
      for (let trial = 0; trial < 60; trial++) {
        const random = Random.of("flip", format, trial);
        const bytes = Buffer.from(good);
        for (let i = 0; i < 3; i++) bytes[random.integer(0, bytes.length - 1)]! ^= 1 << random.integer(0, 7);
        try {
          const { width, height, data } = await loadImage(bytes, { size: 16 });
          expect([width, height, data.length]).toEqual([16, 16, 768]);
        } catch (error) {
          expect(error).toBeInstanceOf(XPromptError);
        }
      }
    }
  });
});

test("a picture of more pixels than asked for is scaled down as it is read; a smaller one is not", async () => {
  const bytes = await picture(60, 30, colourful).png().toBuffer();
  expect(await loadImage(bytes, { reduceTo: 450 })).toMatchObject({ width: 30, height: 15 });
  expect(await loadImage(bytes, { reduceTo: 1800 })).toEqual(await loadImage(bytes));
});

test("a decoded picture has three finite values for each pixel", async () => {
  const data = new Float32Array(8 * 8 * 3).fill(0.5);
  expect((await loadPicture({ width: 8, height: 8, data })).data).toBe(data);
  for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY])
    await expect(
      loadPicture({ width: 8, height: 8, data: data.with(5, wrong) }, { name: "examples[0].input" }),
    ).rejects.toThrow("using examples[0].input: expected finite values");
  for (const short of [data.subarray(1), new Uint8Array(8 * 8 * 3 - 1)])
    await expect(loadPicture({ width: 8, height: 8, data: short } as Image)).rejects.toThrow(
      "using a picture: expected 192 values for 8 × 8, got 191 (three for each pixel)",
    );
});
