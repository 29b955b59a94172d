import { appendFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test, vi } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { sha256 } from "../../src/hash.ts";
import { createImage } from "../../src/image/index.ts";
import { attemptLance, databases } from "../../src/retrieval/arrow.ts";
import { blockOf } from "../../src/retrieval/blocks.ts";
import { ExampleLibrary, type NewExample } from "../../src/retrieval/index.ts";
import { LibraryTable } from "../../src/retrieval/tables.ts";
import { directions, wordEmbedder as embedder, example, picture, temporaryFolder } from "./kit.ts";

const textOnly = { text: 1, image: 0, words: 0 };
const folder = await temporaryFolder();
const examples = [
  await example("a", "remove the rain"),
  await example("b", "add a red ball"),
  await example("c", "make it dark"),
];

async function filled(name: string): Promise<ExampleLibrary> {
  const library = await ExampleLibrary.open(join(folder, name), { create: true });
  await library.add(examples, embedder);
  return library;
}

test("added examples are available, byte by byte, to all readers", async () => {
  const library = await filled("kept");
  const again = await ExampleLibrary.open(join(folder, "kept"));
  expect(await again.count()).toBe(3);
  const facts = await again.list();
  expect(facts.map(({ instruction }) => instruction)).toEqual(examples.map((each) => each.instruction));
  expect(facts[0]).toMatchObject({ source: "test", subtask: "kind", licence: "CC0" });
  const found = await again.get(facts[1]!.id.slice(0, 8));
  expect(Buffer.from(found.input)).toEqual(examples[1]!.input);
  expect(Buffer.from(found.output)).toEqual(examples[1]!.output);
  expect(await library.kinds()).toEqual({ spaces: ["test-words"], models: [] });
});

test("the same pair is added once, the same pictures with another instruction twice", async () => {
  const library = await filled("once");
  const other = { ...examples[0]!, instruction: "derain" };
  const result = await library.add([examples[0]!, examples[2]!, other, other], embedder);
  expect(result).toEqual({ added: 1, known: 3, refused: 0 });
  const again = await ExampleLibrary.open(join(folder, "once"));
  expect(await again.add([...examples, other], embedder)).toEqual({ added: 0, known: 4, refused: 0 });
  expect(await again.count()).toBe(4);
  const [first, , , fourth] = await again.list();
  expect(fourth!.pictures).toBe(first!.pictures);
  expect(fourth!.id).not.toBe(first!.id);
});

test("vector search orders by the cosine of the texts", async () => {
  const library = await filled("vectors");
  const found = await library.search({ instruction: "remove the red ball" }, embedder, textOnly, 3);
  expect(found.map(({ instruction }) => instruction)).toEqual([
    "add a red ball",
    "remove the rain",
    "make it dark",
  ]);
  // remove, red, ball against add, red, ball: 2 / 3; against remove, rain: 1 / √6; against dark: 0.
  for (const [i, expected] of [2 / 3, 1 / Math.sqrt(6), 0].entries()) {
    expect(found[i]!.similarity).toBeCloseTo(expected, 5);
    expect(found[i]!.distance).toBeCloseTo(1 - expected, 5);
  }
});

test("full-text search finds words that the embedder do not know", async () => {
  const library = await filled("words");
  const byWords = { text: 0, image: 0, words: 1 };
  const found = await library.search({ instruction: "make" }, undefined, byWords, 3);
  expect(found.map(({ instruction }) => instruction)).toEqual(["make it dark"]);
  expect(found[0]!.similarity).toBeGreaterThan(0);
  expect(await library.search({ instruction: "nothing alike" }, undefined, byWords, 3)).toEqual([]);
  await expect(library.search({ instruction: " " }, embedder, textOnly, 1)).rejects.toThrow(
    "searching examples: expected an instruction or a picture",
  );
  await expect(
    library.search({ instruction: "make" }, undefined, { ...byWords, words: 0 }, 1),
  ).rejects.toThrow("searching examples: expected a weight above 0 for what is given (words), got 0");
});

test("full-text search covers the words of all examples, rare words first", async () => {
  const library = await ExampleLibrary.open(join(folder, "many words"), { create: true });
  const byWords = { text: 0, image: 0, words: 1 };
  const shapes = ["cube", "cone", "sphere", "capsule"];
  for (const [round, color] of ["red", "green", "blue"].entries()) {
    const added = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        example(`${round} ${i}`, `make the ${shapes[i % 4]} ${color}${i < 4 ? " and large" : ""}`),
      ),
    );
    await library.add(added, embedder);
  }
  for (const wanted of ["make the sphere blue and large", "make the cone green and large"]) {
    const found = await library.search({ instruction: wanted }, undefined, byWords, 3);
    expect(found[0]!.instruction).toBe(wanted);
    expect(found[0]!.similarity).toBeGreaterThan(found[1]!.similarity);
  }
});

test("a mix is the weighted mean of its parts, and finds all that they find", async () => {
  const library = await filled("mix");
  const vectors = { text: await embedder.text("red"), image: Float32Array.of(1, 0) };
  const weights = { text: 2, image: 1, words: 1 };
  const found = await library.search({ vectors, words: "dark" }, embedder, weights, 3);
  expect(found).toHaveLength(3);
  for (const { parts, similarity } of found)
    expect(similarity).toBeCloseTo((2 * parts.text! + parts.image! + parts.words!) / 4, 6);
  const ball = found.find(({ instruction }) => instruction === "add a red ball")!;
  expect(ball.parts.text).toBeCloseTo(1 / Math.sqrt(3), 5);
  expect(ball.parts).toMatchObject({ image: 1, words: 0 });
  const dark = found.find(({ instruction }) => instruction === "make it dark")!;
  expect(dark.parts).toMatchObject({ text: 0, image: 1 });
  expect(dark.parts.words).toBeGreaterThan(0);
});

test("the neighbours of an example exclude itself and its pictures, and respect the filter", async () => {
  const library = await filled("neighbour");
  const twin = { ...examples[0]!, instruction: "please remove the rain" };
  const near = await example("near", "remove the red ball");
  const nearTwin = { ...near, instruction: "remove the ball" };
  await library.add([twin, near, nearTwin], embedder);
  const [first] = await library.list();
  const words = async (count: number, accept?: (facts: { instruction: string }) => boolean) =>
    (await library.nearestOthers(first!.id, embedder, count, accept)).map(({ instruction }) => instruction);
  // Cosines with "remove the rain": 1 / √4, 1 / √6, 0, 0.
  expect(await words(1)).toEqual(["remove the ball"]);
  const [nearest, ...others] = await words(10);
  expect([nearest, others.sort()]).toEqual(["remove the ball", ["add a red ball", "make it dark"]]);
  expect(await words(1, ({ instruction }) => !instruction.includes("the ball"))).toEqual([
    "remove the red ball",
  ]);
  const alone = await ExampleLibrary.open(join(folder, "alone"), { create: true });
  await alone.add([examples[0]!, twin], embedder);
  const [only] = await alone.list();
  expect(await alone.nearestOthers(only!.id, embedder, 1)).toEqual([]);
  await expect(alone.nearestOthers("0".repeat(32), embedder, 1)).rejects.toThrow(
    "expected vectors of its instruction in the space",
  );
});

test("missing vectors are found even if others are there twice", async () => {
  const place = `file://${join(folder, "twice")}`; // as on object storage, writers have no lock
  const library = await ExampleLibrary.open(place, { create: true });
  await library.add(examples, embedder);
  const ids = await library.ids();
  const connection = await databases().lance.connect(join(folder, "twice"));
  const table = await connection.openTable("vectors-test-words");
  await table.add(await table.query().where(`id = '${ids[0]}'`).toArrow());
  await table.delete(`id = '${ids[1]}'`);
  expect(await table.countRows()).toBe(ids.length);
  const again = await ExampleLibrary.open(place);
  expect(await again.lacking(embedder)).toBe(1);
  expect(await again.embed(embedder)).toBe(1);
  expect(await again.lacking(embedder)).toBe(0);
});

test("removed examples are not found, and can be added again", async () => {
  const library = await filled("removed");
  const { id } = (await library.list())[0]!;
  expect(await library.remove([id, "0".repeat(32)])).toBe(1);
  await expect(library.get(id)).rejects.toThrow("found none of that id");
  const found = await library.search({ instruction: "remove the rain" }, embedder, textOnly, 3);
  expect(found.map((each) => each.id)).not.toContain(id);
  expect(await library.add(examples, embedder)).toEqual({ added: 1, known: 2, refused: 0 });
});

test("vectors of another space are computed from the stored examples, and are separate", async () => {
  const library = await filled("spaces");
  const other = { ...embedder, space: "test-other", text: async () => embedder.text("rain") };
  expect(await library.lacking(other)).toBe(3);
  expect(await library.embed(other)).toBe(3);
  expect(await library.lacking(other)).toBe(0);
  expect(await library.embed(other)).toBe(0);
  const [found] = await library.search({ instruction: "red" }, other, textOnly, 1);
  expect(found!.similarity).toBeCloseTo(1, 5);
  expect((await library.kinds()).spaces).toEqual(["test-other", "test-words"]);
});

test("wrong examples are refused: alone with an error, among others one by one", async () => {
  const library = await ExampleLibrary.open(join(folder, "refusing"), { create: true });
  const broken = (await picture("broken")).subarray(0, 300);
  const good = examples[0]!;
  const wrong: [NewExample, string][] = [
    [{ ...good, output: undefined as never }, "expected two pictures, before and after, got one"],
    [{ ...good, instruction: "x".repeat(10_000_000) }, "expected at most 4000 characters, got 10000000"],
    [{ ...good, instruction: 5 as unknown as string }, "instruction: expected a text, got number"],
    [{ ...good, input: broken }, "expected a complete image"],
    [{ ...good, output: broken }, "expected a complete image"],
    [{ ...good, input: Buffer.from("text") }, "expected a PNG, JPEG, WebP or TIFF image, got something else"],
    [{ ...good, input: join(folder, "none.png") }, "expected it to exist"],
    [{ ...good, vectors: { text: new Float32Array(3) } }, "text vector: expected 6 finite numbers"],
    [
      { ...good, vectors: { text: new Float32Array(6).fill(Number.NaN) } },
      "text vector: expected 6 finite numbers",
    ],
    [{ ...good, input: createImage(4, 4) }, "expected at least 8 × 8 pixels, got 4 × 4"],
    [
      { ...good, input: { width: 8, height: 8, data: new Float32Array(192).fill(Number.NaN) } },
      "expected finite values",
    ],
    [
      { ...good, output: { width: 8, height: 8, data: new Uint8Array(7) } },
      "expected 192 values for 8 × 8, got 7",
    ],
  ];
  for (const [each, says] of wrong) await expect(library.add([each], embedder)).rejects.toThrow(says);
  expect(await library.count()).toBe(0);
  const reasons: string[] = [];
  const all = [...wrong.map(([each]) => each), good];
  const result = await library.add(all, embedder, { onRefused: ({ message }) => reasons.push(message) });
  expect(result).toEqual({ added: 1, known: 0, refused: wrong.length });
  for (const [i, [, says]] of wrong.entries()) expect(reasons[i]).toContain(says);
});

test("another folder, or a damaged library, is an error of one line", async () => {
  const open = (name: string) => ExampleLibrary.open(join(folder, name));
  await expect(open("nowhere")).rejects.toThrow("expected an example library, got no such folder");
  await mkdir(join(folder, "other"));
  await writeFile(join(folder, "other", "notes.txt"), "");
  await expect(open("other")).rejects.toThrow("got a folder without one");
  await expect(ExampleLibrary.open(join(folder, "other"), { create: true })).rejects.toThrow(
    "expected a library or an empty folder, got one with notes.txt",
  );
  expect(await readdir(join(folder, "other"))).toEqual(["notes.txt"]);

  const { id } = (await (await filled("cut")).list())[0]!;
  const data = join(folder, "cut", "examples.lance", "data");
  for (const name of await readdir(data)) {
    const bytes = await readFile(join(data, name));
    await writeFile(join(data, name), bytes.subarray(0, bytes.length / 2));
  }
  const cut = await open("cut");
  await expect(cut.get(id)).rejects.toThrow(/expected a complete library that can be reached, got: /);
  await mkdir(join(folder, "empty", "examples.lance"), { recursive: true });
  await expect(open("empty")).rejects.toThrow(/expected a/);
});

test("a picture that changed on the disk is never used", async () => {
  const library = await filled("flipped");
  const { id } = (await library.list())[0]!;
  const data = join(folder, "flipped", "examples.lance", "data");
  const end = Buffer.from("IEND");
  for (const name of await readdir(data)) {
    const bytes = await readFile(join(data, name));
    const at = bytes.indexOf(end);
    bytes[at - 20]! ^= 1;
    await writeFile(join(data, name), bytes);
  }
  const again = await ExampleLibrary.open(join(folder, "flipped"));
  await expect(again.get(id)).rejects.toThrow(
    "expected the pictures and the instruction that were added, got others: the library is damaged",
  );
});

test("one writer at a time; the lock of an ended one does not matter", async () => {
  const library = await filled("locked");
  const lock = join(folder, "locked", "writer.lock");
  await appendFile(lock, `${process.ppid} ${(await import("node:os")).hostname()}\n`);
  await expect(library.remove(["0".repeat(32)])).rejects.toThrow(
    `expected one writer at a time, got process ${process.ppid} writing`,
  );
  await writeFile(lock, `1 another-machine\n`);
  await expect(library.remove(["0".repeat(32)])).rejects.toThrow("process 1 of another-machine");
  await writeFile(lock, `999999999 ${(await import("node:os")).hostname()}\n`);
  expect(await library.remove(["0".repeat(32)])).toBe(0);
  expect(await readdir(join(folder, "locked"))).not.toContain("writer.lock");
  const again = await ExampleLibrary.open(join(folder, "locked"));
  const both = await Promise.allSettled([library.remove([]), again.remove([])]);
  expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
});

test("pictures of tens of megapixels are added; larger ones are refused by their header", async () => {
  const library = await ExampleLibrary.open(join(folder, "large"), { create: true });
  const create = { width: 7900, height: 7900, channels: 3, background: "#123456" } as const;
  const large = await sharp({ create }).png({ compressionLevel: 1 }).toBuffer();
  expect(await library.add([{ input: large, output: large }], embedder)).toMatchObject({ added: 1 });
  // The header of a lossless WebP of 16,000 × 16,000 pixels, without data.
  const header = Buffer.from("RIFF\x1c\0\0\0WEBPVP8L\x10\0\0\0\x2f\0\0\0\0", "latin1");
  header.writeUInt32LE(15_999 | (15_999 << 14), 21);
  const claimed = Buffer.concat([header, Buffer.alloc(11)]);
  await expect(library.add([{ input: claimed, output: claimed }], embedder)).rejects.toThrow(
    /expected at most 64 megapixels, got 16000 × 16000/,
  );
});

test("a picture whose last rows are missing is refused, whatever its shape", async () => {
  const library = await ExampleLibrary.open(join(folder, "cut off"), { create: true });
  const create = { width: 64, height: 1024, channels: 3, background: "#fff" } as const;
  const noise = { type: "gaussian", mean: 128, sigma: 60 } as const;
  const whole = await sharp({ create: { ...create, noise } })
    .jpeg()
    .toBuffer();
  const cut = whole.subarray(0, Math.floor(0.95 * whole.length));
  await expect(library.add([{ input: cut, output: whole }], embedder)).rejects.toThrow(/broken or truncated/);
});

test("given vectors are used as they are, scaled to length 1", async () => {
  const library = await ExampleLibrary.open(join(folder, "given"), { create: true });
  const vectors = directions("given", 40, embedder.textWidth);
  const added = await Promise.all(
    vectors.map(async (text, i) => ({ ...(await example(`${i}`, `number ${i}`)), vectors: { text } })),
  );
  await library.add(added, embedder);
  for (const i of [0, 17, 39]) {
    const [found] = await library.search({ vectors: { text: vectors[i]! } }, embedder, textOnly, 1);
    expect(found).toMatchObject({ instruction: `number ${i}` });
    expect(found!.similarity).toBeCloseTo(1, 5);
    const text = vectors[i]!.map((x) => 5 * x);
    const [same] = await library.search({ vectors: { text } }, embedder, textOnly, 1);
    expect(same!.similarity).toBeCloseTo(1, 5);
  }
  for (const wrong of [new Float32Array(7), new Float32Array(6).fill(Number.NaN)])
    await expect(library.search({ vectors: { text: wrong } }, embedder, textOnly, 1)).rejects.toThrow(
      "searching examples: text vector: expected 6 finite numbers for test-words",
    );
});

test("a library is closed once, and not used afterwards", async () => {
  const library = await filled("closed");
  await library.close();
  await library.close();
  await expect(library.count()).rejects.toThrow(/expected an open library, got one that was closed/);
  await expect(library.add(examples, embedder)).rejects.toThrow(XPromptError);
  expect(await readdir(join(folder, "closed"))).not.toContain("writer.lock");
});

test("many examples are read and embedded in few queries", async () => {
  const library = await ExampleLibrary.open(join(folder, "many"), { create: true });
  const input = await picture("one");
  const many = Array.from({ length: 70 }, (_, i) => ({ input, output: input, instruction: `number ${i}` }));
  await library.add(many, embedder);
  const rows = vi.spyOn(LibraryTable.prototype, "rows");
  const read = [];
  for await (const part of library.examples()) read.push(...part);
  expect(read.map(({ instruction }) => instruction).sort()).toEqual(
    many.map(({ instruction }) => instruction).sort(),
  );
  expect(await library.embed({ ...embedder, space: "another" })).toBe(70);
  expect(rows.mock.calls.length).toBeLessThan(10);
  rows.mockRestore();
});

test("the error on a full disk names the full disk", async () => {
  const failing = attemptLance("adding", () =>
    Promise.reject(new Error("LanceError(IO): No space left on device (os error 28)")),
  );
  await expect(failing).rejects.toThrow(/^adding: expected room on the disk, got: it is full/);
});

test.each([{ layers: 30_000_000 }, { layers: 0 }, { length: 5 }])(
  "a block whose sizes are not those of its data is no block: %j",
  (wrong) => {
    const data = new Uint8Array(16);
    const sizes = { length: 1, heads: 1, layers: 2, ...wrong };
    const checksum = sha256(JSON.stringify(["id", sizes.length, sizes.heads, sizes.layers, sha256(data)]));
    expect(blockOf({ id: "id", ...sizes, data, sha256: checksum })).toBeUndefined();
  },
);
