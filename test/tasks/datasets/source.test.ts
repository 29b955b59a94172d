import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openPairs, type Position } from "../../../src/tasks/datasets/index.ts";
import { Order } from "../../../src/tasks/datasets/order.ts";
import { isHeldOut } from "../../../src/tasks/datasets/set-index.ts";
import { all, manyPairs, writeFiles } from "./kit.ts";

const size = 8;
const idsOf = (pairs: readonly { id: string }[]) => pairs.map(({ id }) => id);

describe("the order", () => {
  const blocks = Array.from({ length: 10 }, (_, i) => ({ first: i * 7, count: 7, bytes: 10 }));
  const items = (order: Order, from: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const { window, index } = order.at(from + i);
      return window.items[index]!;
    });

  it("has every record once per epoch, in another order each time and for each seed", () => {
    const order = new Order(1, blocks, 30);
    const epochs = [items(order, 0, 70), items(order, 70, 70), items(new Order(2, blocks, 30), 0, 70)];
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual([...Array(70).keys()]);
    expect(new Set(epochs.map(String)).size).toBe(3);
    expect(items(new Order(1, blocks, 30), 65, 20)).toEqual([...epochs[0]!, ...epochs[1]!].slice(65, 85));
  });

  it("has no more blocks in memory than fit, and shuffles those", () => {
    const windows = items(new Order(1, blocks, 30), 0, 70).map((item) => Math.floor(item / 7));
    expect(new Set(windows.slice(0, 21)).size).toBe(3);
    expect(new Set(windows.slice(0, 7)).size).toBeGreaterThan(1);
    const single = items(new Order(1, blocks, 5), 0, 70).map((item) => Math.floor(item / 7));
    for (let i = 0; i < 70; i += 7) expect(new Set(single.slice(i, i + 7)).size).toBe(1);
    const next = items(new Order(1, blocks, 5), 70, 70).map((item) => Math.floor(item / 7));
    expect(next).not.toEqual(single);
  });
});

describe("a stream", () => {
  it("resumes from any position exactly, across epochs", async () => {
    const path = await writeFiles({ ...manyPairs(6), "03.after.png": "broken" });
    const settings = { path, seed: 4 };
    const whole = await all((await openPairs(settings)).stream({ size, epochs: 2 }));
    expect(new Set(idsOf(whole.slice(0, 5))).size).toBe(5);
    expect(idsOf(whole.slice(0, 5))).not.toEqual(idsOf(whole.slice(5)));
    for (const stop of [3, 7]) {
      const first = (await openPairs(settings)).stream({ size, epochs: 2 });
      for (let i = 0; i < stop; i++) await first.next();
      const from = JSON.parse(JSON.stringify(first.position)) as Position;
      const rest = await all((await openPairs(settings)).stream({ size, epochs: 2, from }));
      expect(rest).toEqual(whole.slice(stop));
    }
  });

  it("is shared among workers without overlap", async () => {
    const source = await openPairs({ path: await writeFiles(manyPairs(7)) });
    const shares = await Promise.all(
      [0, 1, 2].map((index) => all(source.stream({ size, epochs: 1, worker: { index, count: 3 } }))),
    );
    expect(shares.map((share) => share.length)).toEqual([3, 2, 2]);
    expect(new Set(idsOf(shares.flat())).size).toBe(7);
  });

  it("refuses positions of other settings, and of another worker", async () => {
    const path = await writeFiles(manyPairs(3));
    const { position } = (await openPairs({ path })).stream({ size });
    const other = await openPairs({ path, seed: 1 });
    expect(() => other.stream({ size, from: position })).toThrow("expected a position of this set");
    const same = await openPairs({ path });
    expect(() => same.stream({ size, from: position, worker: { index: 1, count: 2 } })).toThrow("worker");
  });

  it("finds a usable record for every worker, if there is one", async () => {
    const broken = Object.fromEntries([0, 2, 3, 5, 6, 7].map((i) => [`0${i}.after.png`, "broken"]));
    const path = await writeFiles({ ...manyPairs(8), ...broken });
    for (const seed of [1, 2, 3, 4, 5])
      for (const index of [0, 1, 2, 3]) {
        const source = await openPairs({ path, seed });
        const { value } = await source.stream({ size, worker: { index, count: 4 } }).next();
        expect(["01", "04"]).toContain(value!.id.slice(0, 2));
      }
  });

  it("ends with an error when no record is usable, even without a limit of epochs", async () => {
    const source = await openPairs({ path: await writeFiles({ "a.before.png": "no", "a.after.png": "no" }) });
    await expect(source.stream({ size }).next()).rejects.toThrow(
      "expected a usable record, got none of 1, 1 broken",
    );
  });
});

describe("the digest", () => {
  it("tells sets apart by their order and by what gives the records their texts", async () => {
    const caption = (word: string) => {
      const texts = {
        instruction: word,
        reverseInstruction: "back",
        difference: word,
        reverseDifference: "back",
      };
      return `${JSON.stringify({ id: "00", key: "k", subtask: "Style Transfer", ...texts })}\n`;
    };
    const captions = { "a.jsonl": caption("darker"), "b.jsonl": caption("brighter") };
    const folder = await writeFiles({ ...manyPairs(2), ...captions });
    const digestOf = async (settings: object) => (await openPairs({ path: folder, ...settings })).digest;
    const settings = [
      ...[{}, { seed: 1 }, { instruction: "darken it" }],
      ...["a", "b"].map((name) => ({ captions: join(folder, `${name}.jsonl`) })),
    ];
    const digests = await Promise.all(settings.map(digestOf));
    expect(new Set(digests).size).toBe(settings.length);
    expect(await Promise.all(settings.map(digestOf))).toEqual(digests);
  });
});

describe("the held-out part", () => {
  it("is the requested share, disjoint, and independent of the seed and the other records", async () => {
    const path = await writeFiles(manyPairs(24));
    const ids = async (part: "train" | "heldOut", seed: number) =>
      idsOf(await all((await openPairs({ path, part, seed, heldOut: 0.25 })).records()));
    const [train, heldOut] = [await ids("train", 1), await ids("heldOut", 1)];
    expect(new Set([...train, ...heldOut]).size).toBe(24);
    expect(train.length + heldOut.length).toBe(24);
    expect(await ids("heldOut", 2)).toEqual(heldOut);
    const shares = Array.from({ length: 4000 }, (_, i) => isHeldOut(`record ${i}`, 0.25));
    expect(shares.filter(Boolean).length / 4000).toBeCloseTo(0.25, 1);
    // python: int.from_bytes(hashlib.sha256(b"record 1").digest()[:6], "big") / 2**48 = 0.24112…
    expect([isHeldOut("record 1", 0.2411), isHeldOut("record 1", 0.2412)]).toEqual([false, true]);
  });

  it.each([4, 5, 9, 30])("has two pairs of a set of %i, and leaves the others", async (count) => {
    const path = await writeFiles(manyPairs(count));
    const ids = async (part: "train" | "heldOut") =>
      idsOf(await all((await openPairs({ path, part, heldOut: 0.001 })).records()));
    const [train, heldOut] = [await ids("train"), await ids("heldOut")];
    expect([train.length, heldOut.length]).toEqual([count - 2, 2]);
    expect(new Set([...train, ...heldOut]).size).toBe(count);
    const source = await openPairs({ path, part: "heldOut", heldOut: 0.001 });
    const { examples, todos } = await source.context(0, { examples: 1, todos: 1, size });
    expect(idsOf([...examples, ...todos]).sort()).toEqual(heldOut);
  });

  it("has two pairs of one task, and splits no group for them", async () => {
    const names = Array.from({ length: 12 }, (_, i) => String(i).padStart(2, "0"));
    const write = (keys: (i: number) => object) => {
      const lines = names.map((name, i) =>
        JSON.stringify({ input: `${name}.before.png`, output: `${name}.after.png`, ...keys(i) }),
      );
      return writeFiles({ ...manyPairs(12), "metadata.jsonl": lines.join("\n") });
    };
    const settings = { heldOut: 0.001, part: "heldOut" as const };
    const mixed = await write((i) => ({ kind: ["a", "b", "c"][i % 3] }));
    expect([
      ...(await openPairs({ path: mixed, columns: { task: "kind" }, ...settings })).tasks.values(),
    ]).toContain(2);
    const scenes = { path: await write((i) => ({ scene: i % 4 })), columns: { group: "scene" } };
    expect((await openPairs({ ...scenes, ...settings })).length).toBe(3);
    expect((await openPairs({ ...scenes, ...settings, part: "train" })).length).toBe(9);
    const single = { path: await write(() => ({ scene: 1 })), columns: { group: "scene" } };
    expect((await openPairs({ ...single, ...settings, part: "train" })).length).toBe(12);
  });

  it("that is too small is an error that names the part and its setting, even with broken files", async () => {
    const path = await writeFiles({ ...manyPairs(2), "00.after.png": "broken" });
    for (const part of ["train", "heldOut"] as const) {
      // Neither part of two pairs has two usable ones.
      const parts = openPairs({ path, heldOut: 0.5, part });
      const failed = parts.then((source) => source.context(0, { examples: 1, todos: 1, size }));
      await expect(failed).rejects.toThrow(
        new RegExp(`in the part ${part}.*\\(.*add pairs, or change heldOut: mix.pairsHeldOut`),
      );
    }
  });

  it("must have a record", async () => {
    const path = await writeFiles(manyPairs(1));
    const parts = [0.001, 0.9].map((heldOut) => openPairs({ path, heldOut, part: "heldOut" }));
    const outcomes = await Promise.allSettled(parts);
    expect(outcomes[1]!.status).toBe("fulfilled");
    expect(outcomes[0]).toMatchObject({
      reason: {
        message: expect.stringMatching(
          /expected enough pairs to hold some out, got 1, none of them in the part heldOut/,
        ),
      },
    });
  });
});

describe("a context", () => {
  const shape = { examples: 1, todos: 3, size };

  it("is a function of its number, and uses the set without repeating", async () => {
    const path = await writeFiles({ ...manyPairs(12), "03.after.png": "broken" });
    const [one, two] = [await openPairs({ path }), await openPairs({ path })];
    const contexts = [];
    for (const n of [0, 1, 2]) contexts.push(await one.context(n, shape));
    const ids = contexts.map(({ examples, todos }) => idsOf([...examples, ...todos]));
    expect(ids.map((each) => new Set(each).size)).toEqual([4, 4, 4]);
    expect(new Set(ids.flat()).size).toBe(11);
    expect(await two.context(1, shape)).toEqual(contexts[1]);
  });

  it("counts a broken record once, even for concurrent requests", async () => {
    const source = await openPairs({ path: await writeFiles({ ...manyPairs(4), "03.after.png": "broken" }) });
    await Promise.all([source.context(0, shape), source.context(0, shape)]);
    expect(source.defects).toMatchObject({ total: 1, byKind: { picture: 1 } });
  });

  it("never mixes tasks, and skips tasks with a single pair", async () => {
    const lines = Array.from({ length: 15 }, (_, i) =>
      JSON.stringify({
        input_file_name: `${String(i).padStart(2, "0")}.before.png`,
        output_file_name: `${String(i).padStart(2, "0")}.after.png`,
        kind: i === 14 ? "rare" : i % 2 ? "odd" : "even",
      }),
    );
    const path = await writeFiles({ ...manyPairs(15), "metadata.jsonl": lines.join("\n") });
    const source = await openPairs({ path, columns: { task: "kind" } });
    expect(Object.fromEntries(source.tasks)).toEqual({ even: 7, odd: 7, rare: 1 });
    const tasks = new Set<string>();
    for (let n = 0; n < 8; n++) {
      const { task, examples, todos } = await source.context(n, shape);
      tasks.add(task);
      for (const pair of [...examples, ...todos]) expect(pair.task).toBe(task);
      expect(idsOf(todos)).not.toContain(examples[0]!.id);
      expect([examples.length, todos.length]).toEqual([1, 3]);
    }
    expect([...tasks].sort()).toEqual(["even", "odd"]);
  });

  it("repeats pairs on the same side if there are few, and refuses a set of one", async () => {
    const few = await openPairs({ path: await writeFiles(manyPairs(2)) });
    const { examples, todos } = await few.context(5, { examples: 2, todos: 3, size });
    expect(new Set(idsOf([...examples])).size).toBe(1);
    expect(new Set(idsOf([...todos])).size).toBe(1);
    expect([examples.length, todos.length]).toEqual([2, 3]);
    expect(todos[0]!.id).not.toBe(examples[0]!.id);
    const one = await openPairs({ path: await writeFiles(manyPairs(1)) });
    await expect(one.context(0, shape)).rejects.toThrow(
      "expected two usable pairs of one task, got none of 1",
    );
    expect((await one.context(0, { ...shape, examples: 0 })).todos).toHaveLength(3);
  });
});
