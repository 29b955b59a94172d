/** @file Training contexts from a library: queries, and their nearest neighbours as examples. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";
import {
  ClipEmbedder,
  ExampleLibrary,
  isLibrary,
  NeighbourSource,
  prepareNeighbours,
} from "../../src/retrieval/index.ts";
import { isHeldOut } from "../../src/tasks/datasets/index.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { writeTinyModel } from "../fixtures/xprompt/kit.ts";
import { wordEmbedder as embedder, example, picture, temporaryFolder } from "./kit.ts";

const folder = await temporaryFolder();
const place = join(folder, "library");
const kinds = ["remove the rain", "add a ball", "make it dark"];
const library = await ExampleLibrary.open(place, { create: true });
for (const [k, instruction] of kinds.entries())
  for (let i = 0; i < 4; i++) await library.add([await example(`${k} ${i}`, instruction)], embedder);
// The same pictures with another instruction: never shown with each other.
await library.add([{ ...(await example("0 0", kinds[0]!)), instruction: "remove rain" }], embedder);
const facts = await library.list();
const picturesOf = (id: string) => facts.find((each) => each.id === id)!.pictures;
const settings = { library: place, space: embedder };
const shape = { examples: 1, todos: 2, size: 8 };

test("examples and queries of a context have similar instructions, and share no pictures", async () => {
  const source = await NeighbourSource.open(settings, { seed: 1, heldOut: 0, part: "train" });
  const anchors = [];
  for (let n = 0; n < facts.length; n++) {
    const { examples, todos } = await source.context(n, shape);
    const pairs = [...examples, ...todos];
    expect(pairs).toHaveLength(3);
    expect(new Set(pairs.map(({ instruction }) => instruction!.slice(0, 6))).size).toBe(1);
    expect(new Set(pairs.map(({ id }) => picturesOf(id))).size).toBe(3);
    for (const { input, output } of pairs) expect([input!.width, output.height]).toEqual([8, 8]);
    anchors.push(todos[0]!.id);
  }
  expect(anchors.sort()).toEqual(facts.map(({ id }) => id).sort());
});

test("an order that is a function of seed and number, new in every epoch", async () => {
  const ids = async (seed: number, numbers: readonly number[]) => {
    const source = await NeighbourSource.open(settings, { seed, heldOut: 0, part: "train" });
    const contexts = [];
    for (const n of numbers) contexts.push((await source.context(n, { ...shape, todos: 1 })).todos[0]!.id);
    return contexts;
  };
  const epoch = facts.map((_, n) => n);
  const first = await ids(1, epoch);
  expect(await ids(1, [5, 2])).toEqual([first[5], first[2]]);
  expect(await ids(2, epoch)).not.toEqual(first);
  const second = await ids(
    1,
    epoch.map((n) => n + epoch.length),
  );
  expect(second).not.toEqual(first);
  expect(second.sort()).toEqual(first.sort());
});

test("held-out pictures are never shown, and are queried with examples of the rest", async () => {
  const heldOut = 0.4;
  // Both names of a pair's pictures; pairs share pictures with their own copies only.
  const out = (id: string) =>
    isHeldOut([picturesOf(id).slice(0, 16), picturesOf(id).slice(16)].sort()[0]!, heldOut);
  expect(facts.some(({ id }) => out(id)) && facts.some(({ id }) => !out(id))).toBe(true);
  for (const part of ["train", "heldOut"] as const) {
    const source = await NeighbourSource.open(settings, { seed: 1, heldOut, part });
    for (let n = 0; n < facts.length; n++) {
      const { examples, todos } = await source.context(n, shape);
      expect(examples.map(({ id }) => out(id))).toEqual([false]);
      expect(todos.map(({ id }) => out(id))).toEqual([part === "heldOut", part === "heldOut"]);
    }
  }
});

test("edits of one picture, and of their results, are never on both sides of the split", async () => {
  const chains = join(folder, "chains");
  const edits = await ExampleLibrary.open(chains, { create: true });
  for (let chain = 0; chain < 12; chain++) {
    const pictures = [await picture(`${chain} a`), await picture(`${chain} b`), await picture(`${chain} c`)];
    const pairs = [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const;
    for (const [a, b] of pairs) {
      const instruction = `add a red ball ${chain}`;
      await edits.add([{ input: pictures[a]!, output: pictures[b]!, instruction }], embedder);
    }
  }
  const settings = { library: chains, space: embedder };
  const sides = { train: new Set<string>(), heldOut: new Set<string>() };
  for (const part of ["train", "heldOut"] as const) {
    const source = await NeighbourSource.open(settings, { seed: 1, heldOut: 0.4, part });
    for (let n = 0; n < 36; n++)
      sides[part].add((await source.context(n, { ...shape, todos: 1 })).todos[0]!.instruction!);
    await source.close();
  }
  expect(sides.train.size + sides.heldOut.size).toBe(12);
  expect(sides.heldOut.size).toBeGreaterThan(0);
});

test("a library without a neighbour, and an empty one, are errors", async () => {
  const alone = join(folder, "alone");
  const single = await ExampleLibrary.open(alone, { create: true });
  const options = { seed: 1, heldOut: 0, part: "train" } as const;
  await expect(NeighbourSource.open({ library: alone, space: embedder }, options)).rejects.toThrow(
    "expected examples with an instruction, got none",
  );
  await single.add([await example("only", "make it dark"), await example("without words", "")], embedder);
  const source = await NeighbourSource.open({ library: alone, space: embedder }, options);
  // The example without words is no query.
  for (const n of [0, 1])
    await expect(source.context(n, shape)).rejects.toThrow("expected a neighbour for example");
  await source.close();
  await expect(source.context(0, shape)).rejects.toMatchObject({ code: "ERR_RELEASED" });
});

test("missing vectors of a model are computed before training", async () => {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const model = join(folder, "tiny");
  await writeTinyModel(model);
  expect([isLibrary(place), isLibrary(model), isLibrary("s3://bucket/x")]).toEqual([true, false, true]);
  const closed = [
    vi.spyOn(ExampleLibrary.prototype, "close"),
    vi.spyOn(XPrompt.prototype, "release"),
    vi.spyOn(ClipEmbedder.prototype, "release"),
  ];
  const prepared = await prepareNeighbours({ library: place, model });
  await prepareNeighbours({
    library: place,
    clip: fileURLToPath(new URL("../fixtures/clip/model", import.meta.url)),
  });
  expect(closed.map(({ mock }) => mock.calls.length)).toEqual([2, 1, 1]);
  await expect((await ExampleLibrary.open(place)).lacking(prepared.space)).resolves.toBe(0);
  const source = await NeighbourSource.open(prepared, { seed: 1, heldOut: 0, part: "train" });
  expect((await source.context(3, { examples: 2, todos: 1, size: 8 })).examples).toHaveLength(2);
});
