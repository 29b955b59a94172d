/** @file The visual prompt file: content is stored exactly, and damaged data is never used. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CacheBlock } from "../../src/chameleon/model/cache.ts";
import { XPromptError } from "../../src/errors.ts";
import { COLOUR_SUMS } from "../../src/image/example-colours.ts";
import { Random } from "../../src/random.ts";
import { type TensorToWrite, writeSafetensors } from "../../src/runtime/safetensors.ts";
import { type ExampleBlock, VisualPrompt } from "../../src/xprompt/prompt.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prompts-"));
});
afterAll(() => rm(folder, { recursive: true }));

const FLIP = COLOUR_SUMS - 1;
const SIZES = { layers: 2, heads: 2, length: 3, width: 4 };

/** Blocks of random numbers, including large and small ones; the second has sums over colours. */
function blocksOf(count: number, seed = 1): ExampleBlock[] {
  const { layers, heads, length, width } = SIZES;
  const random = Random.of("blocks", seed);
  const values = () =>
    Float32Array.from(
      { length: heads * length * width },
      () => random.normal() * 10 ** random.integer(-6, 3),
    );
  // The last one is the index of a flip.
  const sums = () => Float32Array.from({ length: COLOUR_SUMS }, (_, i) => (i === FLIP ? 3 : random.normal()));
  return Array.from({ length: count }, (_, i) => ({
    length,
    heads,
    layers: Array.from({ length: layers }, () => ({ keys: values(), values: values() })),
    ...(i === 1 && { colours: sums() }),
  }));
}

const promptOf = (count: number, seed?: number) => VisualPrompt.of("0123456789abcdef", blocksOf(count, seed));

async function saved(prompt: VisualPrompt, name = "saved.xprompt"): Promise<string> {
  const path = join(folder, name);
  await prompt.save(path);
  return path;
}

/** The error of loading these bytes, or the prompt. */
async function loading(bytes: Uint8Array | string): Promise<unknown> {
  const path = typeof bytes === "string" ? bytes : join(folder, "damaged.xprompt");
  if (typeof bytes !== "string") await writeFile(path, bytes);
  return VisualPrompt.load(path).catch((error: unknown) => error);
}

/** The error's message: one clear line that names the file. */
async function refusal(bytes: Uint8Array | string): Promise<string> {
  const error = await loading(bytes);
  expect(error).toBeInstanceOf(XPromptError);
  const { message } = error as XPromptError;
  expect(message).toContain(typeof bytes === "string" ? bytes : "damaged.xprompt");
  expect(message).not.toContain("\n");
  return message;
}

describe("saved and loaded", () => {
  test.each([1, 3, 12])("%i examples come back number by number", async (count) => {
    const prompt = promptOf(count);
    const loaded = await VisualPrompt.load(await saved(prompt));
    expect(loaded.model).toBe(prompt.model);
    expect(loaded.blocks).toEqual(prompt.blocks);
    expect(loaded).toBeInstanceOf(VisualPrompt);
  });

  test("as bytes they are the file, and come back from them", async () => {
    const prompt = promptOf(2);
    const bytes = await prompt.toBytes();
    expect(Buffer.from(bytes)).toEqual(await readFile(await saved(prompt)));
    for (const given of [bytes, bytes.buffer, Buffer.concat([Buffer.alloc(3), bytes]).subarray(3)])
      expect((await VisualPrompt.fromBytes(given)).blocks).toEqual(prompt.blocks);
    bytes[bytes.length - 1]! ^= 1;
    await expect(VisualPrompt.fromBytes(bytes)).rejects.toThrow(
      /^reading a prompt: expected the checksum in its header/,
    );
    await expect(VisualPrompt.fromBytes(bytes.subarray(0, 40))).rejects.toThrow(XPromptError);
  });

  test("as many examples as there may be", async () => {
    const layer = { keys: Float32Array.of(1), values: Float32Array.of(2) };
    const block: CacheBlock = { length: 1, heads: 1, layers: [layer] };
    const prompt = VisualPrompt.of("model", Array(9_999).fill(block));
    expect((await VisualPrompt.load(await saved(prompt))).blocks).toHaveLength(9_999);
  });

  test("numbers are kept in half precision, before saving too", () => {
    const raw = blocksOf(2);
    const kept = VisualPrompt.of("model", raw).blocks;
    for (const [i, { layers }] of raw.entries())
      for (const [layer, block] of layers.entries())
        for (const kind of ["keys", "values"] as const)
          for (const [j, value] of block[kind].entries()) {
            const got = kept[i]!.layers[layer]![kind][j]!;
            // Half a unit in the last of 11 bits, or of the smallest subnormal.
            expect(Math.abs(got - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -11, 2 ** -25));
            // The value has at most eleven bits.
            const exponent = Math.max(Math.floor(Math.log2(Math.abs(got))), -14);
            expect(Number.isInteger(got / 2 ** (exponent - 10)) || got === 0).toBe(true);
          }
  });

  test("the same examples give the same bytes, and others give others", async () => {
    const bytes = await readFile(await saved(promptOf(3), "a.xprompt"));
    expect(await readFile(await saved(promptOf(3), "b.xprompt"))).toEqual(bytes);
    const again = await VisualPrompt.load(join(folder, "a.xprompt"));
    expect(await readFile(await saved(again, "c.xprompt"))).toEqual(bytes);
    expect(await readFile(await saved(promptOf(3, 2), "d.xprompt"))).not.toEqual(bytes);
  });

  test("a number takes two bytes, sums over colours four; the rest is a header that other tools can read", async () => {
    const bytes = await readFile(await saved(promptOf(5)));
    const { layers, heads, length, width } = SIZES;
    const headerLength = Number(bytes.readBigUInt64LE());
    const numbers = 5 * layers * 2 * heads * length * width;
    expect(bytes.length).toBe(8 + headerLength + 2 * numbers + 4 * COLOUR_SUMS);
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength));
    expect(Object.keys(header)).toHaveLength(1 + 5 * layers * 2 + 1);
    expect(header.__metadata__).toMatchObject({
      format: "xprompt",
      model: "0123456789abcdef",
      examples: "5",
    });
    expect(header["examples.4.layers.1.values"]).toMatchObject({
      dtype: "F16",
      shape: [heads, length, width],
    });
  });

  test("writing takes the place of an older file, and leaves nothing else", async () => {
    const place = join(folder, "own");
    await mkdir(place);
    await promptOf(1).save(join(place, "a.xprompt"));
    await promptOf(2).save(join(place, "a.xprompt"));
    expect(await readdir(place)).toEqual(["a.xprompt"]);
    expect((await VisualPrompt.load(join(place, "a.xprompt"))).blocks).toHaveLength(2);
  });

  test("an aborted save writes nothing", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    const path = join(folder, "aborted.xprompt");
    await expect(promptOf(1).save(path, { signal })).rejects.toThrow("enough");
    expect(await readdir(folder)).not.toContain("aborted.xprompt");
  });
});

describe("join", () => {
  test("has the examples of all", () => {
    const [a, b] = [promptOf(2), promptOf(1, 2)];
    const joined = VisualPrompt.join([a, b]);
    expect(joined.model).toBe(a.model);
    expect(joined.blocks).toEqual([...a.blocks, ...b.blocks]);
    expect(VisualPrompt.join([a]).blocks).toEqual(a.blocks);
  });

  test("refuses prompts of different models, and none", () => {
    const other = VisualPrompt.of("another", blocksOf(1));
    expect(() => VisualPrompt.join([promptOf(1), other])).toThrow(XPromptError);
    expect(() => VisualPrompt.join([promptOf(1), other])).toThrow(
      /prompts of one model.*0123456789abcdef.*another/,
    );
    expect(() => VisualPrompt.join([])).toThrow(XPromptError);
  });
});

describe("refusals", () => {
  test("a missing file, a folder, an empty file, a text", async () => {
    expect(await refusal(join(folder, "missing.xprompt"))).toMatch(/missing\.xprompt.*no such file/);
    expect(await refusal(folder)).toContain("expected a file");
    expect(await refusal(new Uint8Array())).toContain("cut off");
    await refusal(Buffer.from("not a prompt at all\n".repeat(100)));
  });

  test("another safetensors file", async () => {
    const path = fileURLToPath(new URL("../fixtures/safetensors/values.safetensors", import.meta.url));
    expect(await refusal(path)).toContain("got another safetensors file");
  });

  test("a file that is cut off, wherever", async () => {
    const bytes = await readFile(await saved(promptOf(1)));
    for (let length = 0; length < bytes.length; length++) await refusal(bytes.subarray(0, length));
    await refusal(Buffer.concat([bytes, Buffer.alloc(1)]));
  });

  test("a single wrong bit, in whichever byte", async () => {
    const bytes = await readFile(await saved(promptOf(2)));
    const random = Random.of("bits");
    for (let at = 0; at < bytes.length; at++) {
      // All bits of the length, whose high bits request a large header; elsewhere two of eight.
      const bits = at < 8 ? [0, 1, 2, 3, 4, 5, 6, 7] : random.shuffle([0, 1, 2, 3, 4, 5, 6, 7]).slice(0, 2);
      for (const bit of bits) {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 1 << bit;
        await refusal(damaged);
      }
    }
  });

  test("a shape that takes as many bytes", async () => {
    const text = (await readFile(await saved(promptOf(2)))).toString("latin1");
    const turned = Buffer.from(text.replaceAll("[2,3,4]", "[3,2,4]"), "latin1");
    expect(turned.length).toBe(text.length);
    expect(await refusal(turned)).toContain("checksum");
  });

  test.each([
    ["a flip that there is not", FLIP, 4],
    ["a flip below none", FLIP, -1],
    ["half a flip", FLIP, 0.5],
    ["a sum that is no number", 0, Number.NaN],
    ["an infinite sum", FLIP - 1, Number.POSITIVE_INFINITY],
  ])("sums over colours with %s, whose checksum is right", async (_name, index, value) => {
    const [first, second] = blocksOf(2);
    second!.colours![index] = value;
    const path = await saved(VisualPrompt.of("0123456789abcdef", [first!, second!]));
    expect(await refusal(path)).toContain("examples.1.colours: expected finite sums and the index of a flip");
  });

  test("bytes overwritten, lost, doubled or moved", async () => {
    const bytes = await readFile(await saved(promptOf(2)));
    const random = Random.of("damage");
    for (let trial = 0; trial < 500; trial++) {
      const [from, to] = [random.integer(0, bytes.length - 1), random.integer(0, bytes.length - 1)].sort(
        (a, b) => a - b,
      ) as [number, number];
      const [head, part, tail] = [bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)];
      const damaged = random.pick([
        Buffer.concat([head, Buffer.alloc(part.length, random.integer(0, 255)), tail]),
        Buffer.concat([head, tail]),
        Buffer.concat([head, part, part, tail]),
        Buffer.concat([head, tail, part]),
        Buffer.concat([head, Buffer.from(random.shuffle([...part])), tail]),
      ]);
      const found = await loading(damaged);
      if (found instanceof VisualPrompt) expect(damaged).toEqual(bytes);
      else expect(found).toBeInstanceOf(XPromptError);
    }
  });

  describe("headers that do not match the content", () => {
    const { heads, length, width } = SIZES;
    const tensor = (name: string, change: Partial<TensorToWrite> = {}): TensorToWrite => ({
      name,
      dtype: "F16",
      shape: [heads, length, width],
      data: new Uint16Array(heads * length * width),
      ...change,
    });
    const names = ["keys", "values"].map((kind) => `examples.0.layers.0.${kind}`);
    const metadata = { format: "xprompt", version: "1", model: "m", examples: "1", sha256: "0" };

    const refused = async (tensors: TensorToWrite[], changed: Record<string, string>) => {
      const path = join(folder, "forged.xprompt");
      await writeSafetensors(path, tensors, changed);
      return refusal(path);
    };
    const pair = names.map((name) => tensor(name));

    test.each(["0", "-1", "01", "1.5", "1e3", "99999999999999999999", "", "one", "\n1"])(
      "%j examples",
      async (examples) => {
        expect(await refused(pair, { ...metadata, examples })).toContain("examples");
      },
    );

    test("more examples than there are tensors", async () => {
      expect(await refused(pair, { ...metadata, examples: "9999" })).toContain("9999 examples");
      expect(await refused(pair, { ...metadata, examples: "2" })).toContain("2 examples");
      expect(await refused([], metadata)).toContain("0 tensors");
      const uneven = ["0.layers.0", "0.layers.1", "1.layers.0"].flatMap((place) =>
        ["keys", "values"].map((kind) => tensor(`examples.${place}.${kind}`)),
      );
      expect(await refused(uneven, { ...metadata, examples: "2" })).toContain("2 examples, got 6 tensors");
    });

    test("a version that is to come", async () => {
      expect(await refused(pair, { ...metadata, version: "2" })).toContain(
        'version 1 of the format, got "2"',
      );
    });

    test("tensors of other names, types, shapes, or numbers", async () => {
      const other = (change: Partial<TensorToWrite>) => [pair[0]!, tensor(names[1]!, change)];
      const size = heads * length * width;
      expect(await refused(other({ name: "else" }), metadata)).toContain(names[1]);
      expect(await refused(other({ dtype: "F32", data: new Float32Array(size) }), metadata)).toContain("F32");
      expect(await refused(other({ shape: [size] }), metadata)).toContain(names[1]);
      expect(await refused(other({ shape: [0, 3, 4], data: new Uint16Array() }), metadata)).toContain(
        "checksum",
      );
      expect(await refused(pair, metadata)).toContain("checksum");
    });

    test.each(["format", "version", "model", "examples", "sha256"])("no %s", async (key) => {
      const { [key as keyof typeof metadata]: _, ...rest } = metadata;
      await refused(pair, rest);
    });
  });
});

test("a file holds up to 9,999 examples, when it is written and when it is read", async () => {
  const none = { keys: new Float32Array(1), values: new Float32Array(1) };
  const many = (count: number) =>
    VisualPrompt.of("0123456789abcdef", Array(count).fill({ length: 1, heads: 1, layers: [none] }));
  const path = await saved(many(9999), "full.xprompt");
  expect((await VisualPrompt.load(path)).blocks).toHaveLength(9999);
  const refused = saved(many(10_000), "over.xprompt");
  await expect(refused).rejects.toThrow(XPromptError);
  await expect(refused).rejects.toThrow(/over\.xprompt: expected at most 9999 examples, got 10000/);
  expect(await readdir(folder)).not.toContain("over.xprompt");
});
