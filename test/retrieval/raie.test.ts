import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { encodePng } from "../../src/image/index.ts";
import { databases } from "../../src/retrieval/arrow.ts";
import {
  compileExamples,
  type Embedder,
  ExampleLibrary,
  modelEmbedder,
  Retriever,
} from "../../src/retrieval/index.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { somePicture, writeTinyModel } from "../fixtures/xprompt/kit.ts";
import { example, temporaryFolder, wordEmbedder } from "./kit.ts";

const folder = await temporaryFolder();
async function tinyModel(name: string, seed: number): Promise<XPrompt> {
  await writeTinyModel(join(folder, name), seed);
  const model = await XPrompt.load(join(folder, name), { threads: 1 });
  afterAll(() => model.release());
  return model;
}
const model = await tinyModel("model", 1);
const other = await tinyModel("other", 2);
const examples = [
  await example("a", "remove the red ball"),
  await example("b", "make it rain"),
  await example("c", "add a green box"),
];
const input = somePicture("query");
const request = { input, seed: 3, guidance: 2 };

async function filled(name: string): Promise<ExampleLibrary> {
  const library = await ExampleLibrary.open(join(folder, name), { create: true });
  await library.add(examples, modelEmbedder(model));
  return library;
}

test("generate finds the nearest example, compiles it once, and says so", async () => {
  const library = await filled("found");
  const instruction = "make it rain";
  const first = await model.generate({ ...request, library: new Retriever(library), instruction });
  expect(first.retrieved).toHaveLength(1);
  expect(first.retrieved![0]).toMatchObject({ instruction, source: "test", block: "made" });
  expect(first.retrieved![0]!.parts.text).toBeCloseTo(1, 5);
  const prompt = await model.compress([examples[1]!]);
  const byHand = await model.generate({ ...request, prompt, instruction });
  expect(first.codes).toEqual(byHand.codes);
  const again = await ExampleLibrary.open(join(folder, "found"));
  const second = await model.generate({ ...request, library: new Retriever(again), instruction });
  expect(second.retrieved![0]).toMatchObject({ id: first.retrieved![0]!.id, block: "kept" });
  expect(second.codes).toEqual(first.codes);
});

test("several examples are used together, and with those that are given", async () => {
  const library = await filled("several");
  const prompt = await model.compress([await example("own", "")]);
  const result = await model.generate({
    ...request,
    prompt,
    library: new Retriever(library),
    instruction: "add a box",
    k: 2,
  });
  expect(result.retrieved).toHaveLength(2);
  expect(result.tokens.examples).toBe(3 * model.config.xprompt.tokens);
  const [near, far] = result.retrieved!;
  expect(near!.instruction).toBe("add a green box");
  expect(near!.distance).toBeLessThan(far!.distance);
});

test("without an instruction the pictures decide; dissimilar examples are ignored", async () => {
  const library = await filled("pictures");
  const result = await model.generate({
    ...request,
    input: somePicture("c before"),
    library: new Retriever(library),
  });
  expect(result.retrieved![0]).toMatchObject({ instruction: "add a green box", parts: {} });
  expect(result.retrieved![0]!.similarity).toBeCloseTo(1, 5);
  const none = await model.generate({
    ...request,
    library: new Retriever(library),
    instruction: "something else",
    minSimilarity: 0.999,
  });
  expect(none.retrieved).toEqual([]);
  expect(none.bestSimilarity).toBeLessThan(0.999);
  expect(none.codes).toEqual((await model.generate({ ...request, instruction: "something else" })).codes);
  await expect(model.generate({ library: new Retriever(library) })).rejects.toThrow(
    "expected an instruction or an input picture",
  );
});

test("another model measures and compiles for itself", async () => {
  const library = await filled("models");
  const instruction = "make it rain";
  await model.generate({ ...request, library: new Retriever(library), instruction });
  const result = await other.generate({ ...request, library: new Retriever(library), instruction });
  expect(result.retrieved![0]).toMatchObject({ instruction, block: "made" });
  const prompt = await other.compress([examples[1]!]);
  expect(result.codes).toEqual((await other.generate({ ...request, prompt, instruction })).codes);
  const { spaces, models } = await library.kinds();
  expect(models).toEqual([model.fingerprint, other.fingerprint].sort());
  expect(spaces).toHaveLength(2);
});

test("a damaged block is compiled again, and kept in its place", async () => {
  const library = await filled("damaged");
  const ask = { ...request, instruction: "make it rain" };
  const first = await model.generate({ ...ask, library: new Retriever(library) });
  const data = join(folder, "damaged", `blocks-${model.fingerprint}.lance`, "data");
  for (const name of await readdir(data)) {
    const bytes = await readFile(join(data, name));
    bytes[1000]! ^= 0xff;
    await writeFile(join(data, name), bytes);
  }
  const again = await ExampleLibrary.open(join(folder, "damaged"));
  const second = await model.generate({ ...ask, library: new Retriever(again) });
  expect(second.retrieved![0]).toMatchObject({ block: "made" });
  expect(second.codes).toEqual(first.codes);
  const third = await model.generate({ ...ask, library: new Retriever(again) });
  expect(third.retrieved![0]).toMatchObject({ block: "kept" });
});

test("writes to one library at the same time wait for each other", async () => {
  const library = await filled("at once");
  const more = await Promise.all(["d", "e", "f"].map((name) => example(name, `paint ${name}`)));
  await Promise.all([
    ...more.map((each) => library.add([each], wordEmbedder)),
    model.generate({ ...request, library: new Retriever(library), instruction: "make it rain" }),
  ]);
  expect(await library.count()).toBe(examples.length + more.length);
});

test("a request does not wait for examples that are being added, which may wait for the request", async () => {
  const library = await filled("in turn");
  const ask = { ...request, library: new Retriever(library), instruction: "make it rain" };
  async function* drawn() {
    const { retrieved } = await model.generate(ask);
    yield await example("drawn", `after ${retrieved![0]!.instruction}`);
  }
  expect(await library.add(drawn(), modelEmbedder(model))).toMatchObject({ added: 1 });
  expect((await library.compiled(model.fingerprint)).size).toBe(0);
  await model.generate(ask);
  expect((await library.compiled(model.fingerprint)).size).toBe(1);
});

test("an aborted request compiles no more examples", async () => {
  const library = await filled("aborted");
  const stopped = AbortSignal.abort(new Error("enough"));
  const ids = await library.ids();
  await expect(compileExamples(library, model, ids, { signal: stopped })).rejects.toThrow("enough");
  expect((await library.compiled(model.fingerprint)).size).toBe(0);
});

test("an embedder gets the picture as it was given, also at full size", async () => {
  const library = await filled("as given");
  const seen: unknown[] = [];
  const embedder: Embedder = {
    ...wordEmbedder,
    image: async (picture) => {
      seen.push(picture);
      return Float32Array.of(1, 0);
    },
  };
  await library.embed(embedder);
  seen.length = 0;
  const retriever = new Retriever(library, { embedder, weights: { text: 0, image: 1, words: 0 } });
  await model.generate({ ...request, fullSize: true, library: retriever });
  expect(seen).toEqual([input]);
});

test("a search that compares vectors alone says that the library has none of them", async () => {
  const library = await filled("no vectors");
  const weights = { text: 1, image: 0, words: 0 };
  const search = library.search({ instruction: "make it rain" }, wordEmbedder, weights, 1);
  await expect(search).rejects.toThrow(/expected vectors of test-words in .*, got none \(make them with/);
  const bare = await ExampleLibrary.open(join(folder, "bare"), { create: true });
  expect(await bare.search({ instruction: "make it rain" }, wordEmbedder, weights, 1)).toEqual([]);
});

test("a search by the picture alone needs a weight for it", async () => {
  const library = new Retriever(await filled("weightless"), { weights: { text: 1, image: 0, words: 0 } });
  await expect(model.generate({ ...request, library })).rejects.toThrow(
    "expected an instruction, or weights.image above 0 to search by the input picture, got neither",
  );
});

test("a read-only library still gives its example", async () => {
  const library = await filled("busy");
  await writeFile(join(folder, "busy", "writer.lock"), `${process.ppid} ${hostname()}\n`);
  const ask = { ...request, library: new Retriever(library), instruction: "make it rain" };
  const first = await model.generate(ask);
  expect(first.retrieved![0]).toMatchObject({ block: "made" });
  expect((await model.generate(ask)).retrieved![0]).toMatchObject({ block: "made" });
  // Compiling ahead of time is done to store the examples, so there it is an error.
  await expect(compileExamples(library, model, await library.ids())).rejects.toMatchObject({
    code: "ERR_LOCKED",
  });
});

test("requests at the same time embed the examples once", async () => {
  const library = await filled("together");
  const ask = { ...request, library: new Retriever(library), instruction: "make it rain" };
  const results = await Promise.all([1, 2].map((seed) => other.generate({ ...ask, seed })));
  for (const { retrieved } of results) expect(retrieved![0]!.parts.text).toBeCloseTo(1, 5);
  const connection = await databases().lance.connect(join(folder, "together"));
  const table = await connection.openTable(`vectors-${modelEmbedder(other).space}`);
  expect(await table.countRows()).toBe(examples.length);
});

test("an example that was added after the first search is embedded and found", async () => {
  const library = await filled("growing");
  const weights = { text: 1, image: 0, words: 0 };
  const retriever = new Retriever(library, { weights });
  const best = async (instruction: string) =>
    (await model.generate({ ...request, library: retriever, instruction })).retrieved![0]!;
  expect((await best("make it rain")).instruction).toBe("make it rain");
  await library.add([await example("d", "paint it dark")], wordEmbedder);
  expect((await best("paint it dark")).instruction).toBe("paint it dark");
});

test("an example that took the place of another, in another space, is embedded and found", async () => {
  const library = await filled("replaced");
  const retriever = new Retriever(library);
  await model.generate({ ...request, library: retriever, instruction: "make it rain" });
  const [oldest] = await library.list({ limit: 1 });
  await library.remove([oldest!.id]);
  await library.add([await example("d", "a dark night")], wordEmbedder);
  const result = await model.generate({ ...request, library: retriever, instruction: "a dark night" });
  expect(result.retrieved![0]!.instruction).toBe("a dark night");
});

test("while another process writes, the examples with vectors are found; the others afterwards", async () => {
  const library = await ExampleLibrary.open(join(folder, "half"), { create: true });
  await library.add(examples.slice(0, 2), modelEmbedder(other));
  await library.add(examples.slice(2), modelEmbedder(model));
  const lock = join(folder, "half", "writer.lock");
  await writeFile(lock, `${process.ppid} ${hostname()}\n`);
  const weights = { text: 1, image: 0, words: 0 };
  const retriever = new Retriever(library, { weights });
  const best = async (instruction: string) =>
    (await other.generate({ ...request, library: retriever, instruction })).retrieved![0]!;
  expect(await best("make it rain")).toMatchObject({ instruction: "make it rain" });
  expect((await best("add a green box")).instruction).not.toBe("add a green box");
  const bare = await filled("bare of vectors");
  await writeFile(join(folder, "bare of vectors", "writer.lock"), `${process.ppid} ${hostname()}\n`);
  await expect(
    other.generate({ ...request, library: new Retriever(bare), instruction: "make it rain" }),
  ).rejects.toMatchObject({ code: "ERR_LOCKED" });
  await rm(lock);
  expect(await best("add a green box")).toMatchObject({ instruction: "add a green box" });
});

test("at full size the colours of a retrieved example are applied, whether it was kept or made", async () => {
  const library = await ExampleLibrary.open(join(folder, "colours"), { create: true });
  const before = somePicture("before", model.size);
  const negative = { ...before, data: before.data.map((value) => 1 - value) };
  const [first, second] = [await encodePng(before), await encodePng(negative)];
  await library.add(
    [{ ...examples[0]!, input: first, output: second, instruction: "invert the colours" }],
    modelEmbedder(model),
  );
  const ask = { input, seed: 3, fullSize: true as const };
  const given = await model.generate({ ...ask, examples: [{ input: first, output: second }] });
  expect(given.changeFrom).toBe("example colours");
  const retriever = new Retriever(library);
  const made = async (more: { instruction?: string; exampleColours?: boolean }) => {
    const { retrieved, changeFrom, images } = await model.generate({ ...ask, library: retriever, ...more });
    return { block: retrieved![0]!.block, changeFrom, pixels: Buffer.from(images[0].data) };
  };
  const pixels = Buffer.from(given.images[0].data);
  const applied = { changeFrom: "example colours", pixels };
  expect(await made({})).toEqual({ ...applied, block: "made" });
  expect(await made({})).toEqual({ ...applied, block: "kept" });
  expect(await made({ instruction: "Invert the colours " })).toEqual({ ...applied, block: "kept" });
  // Other words may ask for something else.
  expect(await made({ instruction: "invert a part" })).toMatchObject({ changeFrom: "drawing" });
  expect(await made({ exampleColours: false })).toMatchObject({ changeFrom: "drawing" });
});

test("other embedder find other examples", async () => {
  const library = await filled("embedder");
  const weights = { text: 1, image: 0, words: 0 };
  const retriever = new Retriever(library, { embedder: wordEmbedder, weights });
  const result = await model.generate({ ...request, library: retriever, instruction: "no rain, please" });
  expect(result.retrieved![0]).toMatchObject({ instruction: "make it rain", similarity: 1 });
});

test("a library without a retriever is refused", async () => {
  const library = (await filled("bare")) as unknown as Retriever;
  await expect(model.generate({ ...request, library })).rejects.toThrow(
    "library: expected a Retriever, got something else (for an ExampleLibrary, pass new Retriever(library))",
  );
});

test("options out of range are refused", async () => {
  const library = await filled("range");
  const ask = { ...request, library: new Retriever(library), instruction: "make it rain" };
  await expect(model.generate({ ...ask, k: 0 })).rejects.toThrow("k: expected a whole number from 1 to 64");
  await expect(model.generate({ ...ask, minSimilarity: 2 })).rejects.toThrow(
    "minSimilarity: expected a number from -1 to 1",
  );
});

test.each([
  [{ text: Number.NaN, image: 1, words: 0 }, "weights.text: expected a number from 0, got NaN"],
  [{ text: 1, image: -1, words: 0 }, "weights.image: expected a number from 0, got -1"],
  [{ text: 1, image: 1 }, "weights.words: expected a number from 0, got undefined"],
  [{ text: 1, imge: 5, words: 0 }, 'weights: expected text, image, words, got imge (did you mean "image"?)'],
])("weights %o are refused", (weights, message) => {
  expect(() => new Retriever({} as ExampleLibrary, { weights: weights as never })).toThrow(
    `retrieving examples: ${message}`,
  );
});
