import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { Random } from "../../src/random.ts";
import { float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../../src/runtime/float16.ts";
import { SafetensorsFile, type TensorToWrite, writeSafetensors } from "../../src/runtime/safetensors.ts";

interface Expected {
  shapes: Record<string, number[]>;
  floats: Record<string, number[]>;
  integers: Record<string, string[]>;
  narrowed: Record<"F16" | "BF16", number[]>;
}

const fixtures = new URL("../fixtures/safetensors/", import.meta.url).pathname;
const reference = join(fixtures, "values.safetensors");
let expected: Expected;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "safetensors-"));
  expected = JSON.parse(await readFile(join(fixtures, "values.json"), "utf8"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Opens a file, reads all of it, and closes it. */
async function readAll(path: string): Promise<TensorToWrite[]> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors: TensorToWrite[] = [];
    for (const name of file.tensors.keys()) {
      const { dtype, shape, bytes } = await file.read(name);
      tensors.push({ name, dtype, shape, data: bytes });
    }
    return tensors;
  } finally {
    await file.close();
  }
}

/** A file with this header (an object becomes JSON) and this many bytes of data. */
async function pipe(): Promise<string> {
  const path = join(folder, "pipe.safetensors");
  execFileSync("mkfifo", [path]);
  return path;
}

async function withHeader(header: unknown, dataLength = 8): Promise<string> {
  const json =
    header instanceof Uint8Array
      ? header
      : Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return withBytes(Buffer.concat([prefix, json, Buffer.alloc(dataLength)]));
}

async function withBytes(bytes: Uint8Array): Promise<string> {
  const path = join(folder, "made.safetensors");
  await writeFile(path, bytes);
  return path;
}

const isNaN16 = (bits: number, infinity: number) => (bits & 0x7fff) > infinity;
const isNaN32 = (bits: number) => (bits & 0x7fffffff) > 0x7f800000;

describe("against the reference library", () => {
  test("every value of its file equals PyTorch's, bit by bit", async () => {
    const file = await SafetensorsFile.open(reference);
    expect(file.metadata).toEqual({ format: "pt" });
    expect(Object.fromEntries([...file.tensors].map(([name, { shape }]) => [name, shape]))).toEqual(
      expected.shapes,
    );
    for (const [name, bits] of Object.entries(expected.floats)) {
      const values = await file.readFloat32(name);
      const got = [...new Uint32Array(values.buffer)];
      expect(
        got.map((v) => (isNaN32(v) ? "NaN" : v)),
        name,
      ).toEqual(bits.map((v) => (isNaN32(v) ? "NaN" : v)));
    }
    const views = { long: BigInt64Array, int: Int32Array, signed: Int8Array, bytes: Uint8Array };
    for (const [name, View] of Object.entries(views)) {
      const { bytes } = await file.read(name);
      expect([...new View(bytes.buffer)].map(String), name).toEqual(expected.integers[name]);
    }
    const truth = await file.read("truth");
    expect([truth.dtype, ...truth.bytes]).toEqual(["BOOL", 1, 0, 1]);
    const double = await file.read("double");
    expect([double.dtype, ...new Float64Array(double.bytes.buffer)]).toEqual(["F64", 0.1, -1e300]);
    await file.close();
  });

  test("32-bit floats are narrowed to the same 16-bit patterns as in PyTorch", () => {
    const singles = new Float32Array(Uint32Array.from(expected.floats.singles!).buffer);
    for (const [narrowed, infinity, reference] of [
      [float32ToFloat16(singles), 0x7c00, expected.narrowed.F16],
      [float32ToBfloat16(singles), 0x7f80, expected.narrowed.BF16],
    ] as const) {
      const shown = (bits: number) => (isNaN16(bits, infinity) ? "NaN" : bits);
      expect([...narrowed].map(shown)).toEqual(reference.map(shown));
    }
  });

  test("the same tensors in any order give the same bytes", async () => {
    const path = join(folder, "again.safetensors");
    await writeSafetensors(path, Random.of(1).shuffle(await readAll(reference)), { format: "pt" });
    expect((await readFile(path)).equals(await readFile(reference))).toBe(true);
  });
});

describe("16-bit floats", () => {
  test("every F16 pattern survives being widened and narrowed", () => {
    const all = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
    const back = float32ToFloat16(float16ToFloat32(all));
    const wrong = [...all].filter(
      (bits, i) => back[i] !== bits && !(isNaN16(bits, 0x7c00) && isNaN16(back[i]!, 0x7c00)),
    );
    expect(wrong).toEqual([]);
  });

  test("F16 narrowing picks the nearest of all finite patterns, and the even one of two", () => {
    const finite = float16ToFloat32(Uint16Array.from({ length: 0x7c00 }, (_, i) => i));
    const middles = Float32Array.from({ length: 0x7bff }, (_, i) => (finite[i]! + finite[i + 1]!) / 2);
    const narrowed = float32ToFloat16(middles);
    expect([...narrowed].filter((bits, i) => bits !== i + (i % 2))).toEqual([]);
  });
});

describe("writing", () => {
  test("round trip of each kind of data, with a lazy one, a view into a larger buffer, and metadata", async () => {
    const path = join(folder, "kinds.safetensors");
    const values = Float32Array.of(1, -2, 0.5, 3, 9).subarray(1, 4);
    await writeSafetensors(
      path,
      [
        { name: "z", dtype: "I8", shape: [3], data: Int8Array.of(-1, 2, 3) },
        { name: "f32", dtype: "F32", shape: [3, 1], data: values },
        { name: "f16", dtype: "F16", shape: [3], data: async () => values },
        { name: "bf16", dtype: "BF16", shape: [1, 3], data: () => values },
        { name: "__proto__", dtype: "I64", shape: [], data: BigInt64Array.of(-5n) },
      ],
      { b: "2", a: "é\n" },
    );
    const file = await SafetensorsFile.open(path);
    expect([...file.tensors.keys()]).toEqual(["__proto__", "f32", "bf16", "f16", "z"]);
    expect(Object.entries(file.metadata)).toEqual([
      ["a", "é\n"],
      ["b", "2"],
    ]);
    for (const name of ["f32", "f16", "bf16"])
      expect([...(await file.readFloat32(name))]).toEqual([-2, 0.5, 3]);
    for (const { byteOffset } of [...file.tensors.values()].slice(0, 2)) expect(byteOffset % 4).toBe(0);
    expect([...new Int8Array((await file.read("z")).bytes.buffer)]).toEqual([-1, 2, 3]);
    await file.close();
  });

  test("progress counts the bytes written, and ends at their total", async () => {
    const told: [number, number][] = [];
    const tensors: TensorToWrite[] = [2, 3].map((size) => ({
      ...{ name: `t${size}`, dtype: "F32", shape: [size, 100] },
      data: new Float32Array(size * 100),
    }));
    await writeSafetensors(
      join(folder, "told.safetensors"),
      tensors,
      {},
      {
        onProgress: (done, total) => told.push([done, total]),
      },
    );
    expect(told.map(([, total]) => total)).toEqual([2000, 2000, 2000]);
    const dones = told.map(([done]) => done);
    expect(dones).toEqual([...dones].sort((a, b) => a - b));
    expect(dones.at(-1)).toBe(2000);
  });

  test.each<[string, RegExp, TensorToWrite[]]>([
    [
      "a name twice",
      /got "a" twice/,
      Array(2).fill({ name: "a", dtype: "U8", shape: [1], data: new Uint8Array(1) }),
    ],
    [
      "data that is too short",
      /expected 8 bytes for F32 \[2\], got 4/,
      [{ name: "a", dtype: "F32", shape: [2], data: new Float32Array(1) }],
    ],
    [
      "floats for an integer type",
      /expected bytes for I32/,
      [{ name: "a", dtype: "I32", shape: [1], data: new Float32Array(1) }],
    ],
  ])("%s is refused and leaves no file", async (_, message, tensors) => {
    const path = join(folder, "refused.safetensors");
    await expect(writeSafetensors(path, tensors)).rejects.toThrow(message);
    await expect(readFile(path)).rejects.toThrow("ENOENT");
  });
});

describe("broken files", () => {
  const f32 = (start: number, end: number, shape: unknown = [(end - start) / 4]) => ({
    dtype: "F32",
    shape,
    data_offsets: [start, end],
  });

  test.each<[string, RegExp, () => Promise<string>]>([
    ["an empty file", /expected 8 bytes or more, got 0/, () => withBytes(new Uint8Array(0))],
    ["a file of 7 bytes", /expected 8 bytes or more, got 7/, () => withBytes(new Uint8Array(7))],
    [
      "a header beyond the file",
      /at most 0 bytes, got one of 1 /,
      () => withBytes(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)),
    ],
    ["a header of 2⁶⁴−1 bytes", /got another kind of file/, () => withBytes(new Uint8Array(99).fill(255))],
    [
      "a PNG",
      /expected a safetensors file, such as a \.xprompt, got another kind of file/,
      () => withBytes(Buffer.from("89504e470d0a1a0a0000000d49484452", "hex")),
    ],
    ["an empty header", /expected a JSON header/, () => withHeader("")],
    ["no JSON", /expected a JSON header/, () => withHeader("{oh no}")],
    ["bad UTF-8", /expected a JSON header/, () => withHeader(Buffer.from('{"\xff":1}', "latin1"))],
    ["an array", /expected a JSON object as header, got an array/, () => withHeader([])],
    ["null", /expected a JSON object as header, got null/, () => withHeader("null")],
    ["deep nesting", /nested more than 3 deep/, () => withHeader("[".repeat(1_000_000))],
    [
      "100,001 empty tensors",
      /expected a JSON header, got: more than 100000 tensors/,
      () => withHeader(Object.fromEntries(Array.from({ length: 100_001 }, (_, i) => [i, f32(0, 0, [0])]))),
    ],
    [
      "a name twice",
      /"a" twice/,
      () => withHeader(`{"a":${JSON.stringify(f32(0, 8))},"\\u0061" :${JSON.stringify(f32(0, 8))}}`),
    ],
    [
      "a field twice",
      /"dtype" twice/,
      () => withHeader('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'),
    ],
    ["a name with NUL", /expected a name without NUL/, () => withHeader({ "a\0b": f32(0, 8) })],
    ["no tensor object", /expected an object that describes it, got 5/, () => withHeader({ a: 5 })],
    [
      "an unknown dtype",
      /expected a dtype of BOOL, .*, got "F33"/,
      () => withHeader({ a: { ...f32(0, 8), dtype: "F33" } }),
    ],
    [
      "an inherited dtype",
      /expected a dtype/,
      () => withHeader({ a: { ...f32(0, 8), dtype: "constructor" } }),
    ],
    [
      "no dtype",
      /expected a dtype of .*, got nothing/,
      () => withHeader({ a: { shape: [2], data_offsets: [0, 8] } }),
    ],
    ["a shape that is not an array", /expected a shape/, () => withHeader({ a: f32(0, 8, 2) })],
    ["a fractional shape", /expected a shape/, () => withHeader({ a: f32(0, 8, [0.5, 4]) })],
    ["a negative shape", /expected a shape/, () => withHeader({ a: f32(0, 8, [-1, -2]) })],
    ["a shape of text", /expected a shape/, () => withHeader({ a: f32(0, 8, ["2"]) })],
    [
      "a huge shape",
      /expected 5\.07\S+ bytes for F32/,
      () => withHeader({ a: f32(0, 8, [2 ** 50, 2 ** 50]) }),
    ],
    [
      "a shape beyond all numbers",
      /expected .*bytes for F32/,
      () => withHeader({ a: f32(0, 0, [...Array(25).fill(2 ** 50), 0]) }, 0),
    ],
    [
      "a shape of another length",
      /expected 12 bytes for F32 \[3\], got 8/,
      () => withHeader({ a: f32(0, 8, [3]) }),
    ],
    ["negative offsets", /expected data_offsets/, () => withHeader({ a: f32(-8, 0) })],
    ["offsets in the wrong order", /expected data_offsets/, () => withHeader({ a: f32(8, 0, [2]) })],
    [
      "three offsets",
      /expected data_offsets/,
      () => withHeader({ a: { ...f32(0, 8), data_offsets: [0, 4, 8] } }),
    ],
    [
      "fractional offsets",
      /expected data_offsets/,
      () => withHeader({ a: { ...f32(0, 8), data_offsets: [0.5, 8.5] } }),
    ],
    ["overlapping tensors", /tensor "b": .*overlap/, () => withHeader({ a: f32(0, 8), b: f32(4, 8) })],
    ["overlapping tensors", /overlap/, () => withHeader({ a: f32(0, 8), b: f32(0, 8) })],
    ["a gap", /tensor "b": .*a gap/, () => withHeader({ a: f32(0, 4), b: f32(8, 12) }, 12)],
    ["a gap at the start", /tensor "a": .*a gap/, () => withHeader({ a: f32(4, 8) })],
    ["a truncated file", /the file is cut off/, () => withHeader({ a: f32(0, 8) }, 7)],
    ["bytes after the data", /expected a file of \d+ bytes/, () => withHeader({ a: f32(0, 8) }, 9)],
    ["metadata with numbers", /only texts in __metadata__/, () => withHeader({ __metadata__: { a: 1 } }, 0)],
    ["metadata that is a list", /only texts in __metadata__/, () => withHeader({ __metadata__: ["a"] }, 0)],
    ["a name without end", /tensor "a{77,79}…: expected/, () => withHeader({ ["a".repeat(100_000)]: 1 })],
    ["no file", /no such file/, async () => join(folder, "nowhere.safetensors")],
    ["a folder", /got a folder/, async () => folder],
    ["a pipe", /got a device or pipe/, pipe],
  ])("%s is refused in one line", async (_, message, make) => {
    const path = await make();
    const error = await SafetensorsFile.open(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(XPromptError);
    const line = (error as XPromptError).message;
    expect(line).toMatch(message);
    expect(line).toContain(path);
    expect(line).not.toContain("\n");
  });

  test("a header in any order of names and with empty tensors is accepted", async () => {
    const path = await withHeader({ b: f32(4, 8), empty: f32(4, 4), a: f32(0, 4), last: f32(8, 8, [0, 9]) });
    expect((await readAll(path)).map(({ name }) => name)).toEqual(["a", "empty", "b", "last"]);
  });

  test("a file that shrinks while it is open, a missing tensor, a type that is not a float", async () => {
    const path = await withHeader(
      { a: f32(0, 8), i: { dtype: "I32", shape: [1], data_offsets: [8, 12] } },
      12,
    );
    const file = await SafetensorsFile.open(path);
    await expect(file.readFloat32("i")).rejects.toThrow(/expected F32, F16 or BF16, got I32/);
    await expect(file.read("b")).rejects.toThrow(/tensor "b" .*got 2 others/);
    await truncate(path, 120);
    await expect(file.read("a")).rejects.toThrow(XPromptError);
    await file.close();
  });

  test("flipped bits and cuts give an XPromptError or a consistent file", async () => {
    const good = await readFile(reference);
    const headerEnd = 8 + Number(good.readBigUInt64LE());
    const outcomes = { refused: 0, read: 0 };
    for (let trial = 0; trial < 600; trial++) {
      const random = Random.of("flip", trial);
      let bytes = Buffer.from(good);
      for (let flips = random.integer(1, 3); flips > 0; flips--) {
        bytes[random.integer(0, headerEnd - 1)]! ^= 1 << random.integer(0, 7);
      }
      if (random.chance(0.1)) bytes = bytes.subarray(0, random.integer(0, bytes.length));
      try {
        const tensors = await readAll(await withBytes(bytes));
        const length = tensors.reduce((sum, { data }) => sum + (data as Uint8Array).byteLength, 0);
        expect(length).toBe(good.length - headerEnd);
        outcomes.read++;
      } catch (error) {
        if (!(error instanceof XPromptError)) throw error;
        outcomes.refused++;
      }
    }
    expect(outcomes.refused).toBeGreaterThan(300);
    expect(outcomes.read).toBeGreaterThan(5); // a flip in a name or in the metadata cannot be detected
  });
});
