import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { loadPairs, openPairs } from "../../../src/tasks/datasets/index.ts";
import { all, colorOf, type Files, manyPairs, writeFiles } from "./kit.ts";

const row = (i: number, more: object = {}) =>
  JSON.stringify({ input_file_name: `0${i}.before.png`, output_file_name: `0${i}.after.png`, ...more });

describe("an imagefolder", () => {
  it("reads metadata.jsonl with its texts", async () => {
    const path = await writeFiles({
      ...manyPairs(2),
      "metadata.jsonl": [
        row(1, {
          edit_prompt: "make it green",
          difference: "it is green",
          license: "CC0",
          edit_type: "colour",
        }),
        "",
        row(0, { edit_prompt: "green, please", reverse_instruction: "take the green out" }),
      ].join("\r\n"),
    });
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(defects.total).toBe(0);
    expect(pairs).toMatchObject([
      { instruction: "make it green", difference: "it is green", licence: "CC0", subtask: "colour" },
      { instruction: "green, please", reverseInstruction: "take the green out" },
    ]);
    expect(pairs.map(({ output }) => colorOf(output))).toEqual([
      [1, 255, 0],
      [0, 255, 0],
    ]);
  });

  it("names its records the same from whichever folder it is read", async () => {
    const path = await writeFiles({ ...manyPairs(1), "metadata.jsonl": row(0) });
    const { pairs } = await loadPairs(path, { size: 8 });
    const again = await loadPairs(`${path}/.`, { size: 8 });
    expect(again.pairs.map(({ id }) => id)).toEqual(pairs.map(({ id }) => id));
  });

  it("reads metadata.csv with quotes, commas and line ends inside, and a byte order mark", async () => {
    const csv = `\uFEFFoutput_file_name,"before","what, exactly"\r\n00.after.png,00.before.png,"say ""hi"",\nthen go"\r\n\r\n01.after.png,01.before.png,plain`;
    const path = await writeFiles({ ...manyPairs(2), "metadata.csv": csv });
    const { pairs, defects } = await loadPairs(path, { size: 8, columns: { instruction: "what, exactly" } });
    expect(defects.total).toBe(0);
    expect(pairs.map(({ instruction }) => instruction)).toEqual(['say "hi",\nthen go', "plain"]);
    expect(pairs.map(({ input }) => colorOf(input))).toEqual([
      [0, 0, 0],
      [1, 0, 0],
    ]);
  });

  it("takes a picture with a caption as text to image", async () => {
    const path = await writeFiles({
      "a.png": [9, 9, 9],
      "metadata.jsonl": '{"file_name": "a.png", "text": "a grey picture"}',
    });
    const source = await openPairs({ path });
    const { task, examples, todos } = await source.context(0, { examples: 1, todos: 2, size: 8 });
    expect(task).toBe("text-to-image");
    expect(examples).toEqual([]);
    expect(todos).toHaveLength(2);
    expect(todos[0]).toMatchObject({ instruction: "a grey picture" });
    expect(todos[0]!.input).toBeUndefined();
  });

  it("does not take the input of a pair without its output as text to image", async () => {
    const row = (name: string, output: string | null) =>
      JSON.stringify({ file_name: name, edited_image_file_name: output, edit_prompt: "remove the rain" });
    const path = await writeFiles({
      ...manyPairs(2),
      "metadata.jsonl": [row("00.before.png", "00.after.png"), row("01.before.png", null)].join("\n"),
    });
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(pairs.map(({ input }) => colorOf(input))).toEqual([[0, 0, 0]]);
    expect(defects).toMatchObject({ total: 1, byKind: { missing: 1 } });
  });

  it("takes a word in the column `source` or `target` as no picture, unless it is named", async () => {
    const path = await writeFiles({
      "a.png": [9, 9, 9],
      "b.png": [8, 8, 8],
      "metadata.jsonl": [
        '{"file_name": "a.png", "text": "grey", "source": "flickr", "target": 3}',
        '{"source": "a.png", "target": "b.png"}',
        '{"file_name": "b.png", "text": "dark", "source": {"site": "coco"}, "target": ["cat"]}',
      ].join("\n"),
    });
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(defects.total).toBe(0);
    expect(pairs.map(({ input, output }) => [colorOf(input), colorOf(output)])).toEqual([
      [undefined, [9, 9, 9]],
      [
        [9, 9, 9],
        [8, 8, 8],
      ],
      [undefined, [8, 8, 8]],
    ]);
    const { defects: named } = await loadPairs(path, { size: 8, columns: { input: "source" } });
    expect(named.total).toBe(2);
    expect(named.first.join("\n")).toMatch(/no file .*flickr/);
  });

  it("has an id for every pair, also with a common output or equal folder names", async () => {
    const list = (...pairs: (readonly [string, string])[]) =>
      pairs
        .map(([before, after]) => JSON.stringify({ input_file_name: before, output_file_name: after }))
        .join("\n");
    const path = await writeFiles({
      "day/train/metadata.jsonl": list(["rain1.png", "clear.png"], ["rain2.png", "clear.png"]),
      "night/train/metadata.jsonl": list(["rain1.png", "clear.png"]),
    });
    const ids = (await all((await openPairs({ path })).records())).map(({ id }) => id);
    expect(ids).toEqual([
      "day/train/clear.png from rain1.png",
      "day/train/clear.png from rain2.png",
      "night/train/clear.png",
    ]);
  });

  it("never separates rows with the same output by holding out", async () => {
    const rows = Array.from({ length: 300 }, (_, i) =>
      JSON.stringify({ before: `${i}.png`, after: `${Math.floor(i / 3)}.after.png` }),
    );
    const path = await writeFiles({ "metadata.jsonl": rows.join("\n") });
    const outputs = async (part: "train" | "heldOut") => {
      const source = await openPairs({ path, heldOut: 0.3, part });
      return new Set((await all(source.records())).map(({ output }) => output));
    };
    const [train, heldOut] = [await outputs("train"), await outputs("heldOut")];
    expect(train.size + heldOut.size).toBe(100);
    expect(heldOut.size).toBeGreaterThan(10);
  });

  it("never separates rows that share a picture, on either side or in a chain", async () => {
    // Three edits of each picture; of each ten pictures, the last edit of one gives the first of the next.
    const rows = Array.from({ length: 300 }, (_, i) => {
      const [picture, edit] = [Math.floor(i / 3), i % 3];
      const after =
        edit === 2 && picture % 10 < 9 ? `${picture + 1}.edit 0.png` : `${picture}.edit ${edit}.png`;
      return JSON.stringify({ before: `${picture}.png`, after });
    });
    const path = await writeFiles({ "metadata.jsonl": rows.join("\n") });
    const chains = async (part: "train" | "heldOut") => {
      const source = await openPairs({ path, heldOut: 0.3, part });
      return (await all(source.records())).map(({ input }) =>
        Math.floor(Number.parseInt(basename(String(input)), 10) / 10),
      );
    };
    const [train, heldOut] = [await chains("train"), await chains("heldOut")];
    expect(train.length + heldOut.length).toBe(300);
    expect(new Set(train).size + new Set(heldOut).size).toBe(10);
    expect(heldOut.length).toBeGreaterThan(0);
  });

  it("never separates the turns of an edited picture, nor a pair from its reverse", async () => {
    // Three turns of each picture, and each of the first ones backwards.
    const rows = Array.from({ length: 40 }, (_, picture) => {
      const name = (turn: number) => `${picture}.turn ${turn}.png`;
      const pairs = [
        [0, 1],
        [1, 2],
        [2, 3],
        [1, 0],
      ] as const;
      return pairs.map(([a, b]) => JSON.stringify({ before: name(a), after: name(b) }));
    });
    const path = await writeFiles({ "metadata.jsonl": rows.flat().join("\n") });
    const pictures = async (part: "train" | "heldOut") => {
      const source = await openPairs({ path, heldOut: 0.3, part });
      return (await all(source.records())).map(({ input }) => Number.parseInt(basename(String(input)), 10));
    };
    const [train, heldOut] = [await pictures("train"), await pictures("heldOut")];
    expect(train.length + heldOut.length).toBe(160);
    expect(new Set(train).size + new Set(heldOut).size).toBe(40);
    expect(heldOut.length).toBeGreaterThan(0);
  });

  it("reads long lists in ranges, every row once", async () => {
    const lines = Array.from({ length: 700 }, (_, i) => row(i % 2, { id: `row ${i}` }));
    const path = await writeFiles({ ...manyPairs(2), "metadata.jsonl": `${lines.join("\n")}\n` });
    const source = await openPairs({ path, memory: 0.001 });
    expect((await all(source.records())).map(({ id }) => id)).toEqual(lines.map((_, i) => `row ${i}`));
  });

  it("skips and counts bad rows", async () => {
    const path = await writeFiles({
      ...manyPairs(1),
      "metadata.jsonl": [
        row(0),
        "{ no json",
        "[1]",
        row(0, { instruction: { a: 1 } }),
        row(0, { instruction: "x".repeat(5000) }),
        '{"input_file_name": "00.before.png"}',
        '{"input_file_name": 7, "output_file_name": "00.after.png"}',
        row(5),
        '{"input_file_name": "../../etc/passwd", "output_file_name": "00.after.png"}',
        '{"input_file_name": "00.before.png", "output_file_name": "/etc/passwd"}',
      ].join("\n"),
    });
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(pairs).toHaveLength(1);
    expect(defects).toMatchObject({
      total: 9,
      byKind: { picture: 0, missing: 2, metadata: 2, type: 3, path: 2 },
    });
    expect(defects.first.join("\n")).toContain(
      "expected a path inside the set's folder, got ../../etc/passwd",
    );
  });

  it("takes a quote inside a CSV field as it is", async () => {
    const words = ['a 5" pipe', 'two 6" pipes', "plain", '"say ""ho"""'];
    const rows = words.map((text, i) => `0${i}.before.png,0${i}.after.png,${text}`);
    const csv = `before,after,instruction\n${rows.join("\n")}\n`;
    const path = await writeFiles({ ...manyPairs(4), "metadata.csv": csv });
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(defects.total).toBe(0);
    expect(pairs.map(({ instruction }) => instruction)).toEqual([...words.slice(0, 3), 'say "ho"']);
  });

  it.each([
    ["a control character", "\u0001"],
    ["a space that is not ASCII", "\u00a0"],
  ])("a line of %s is one defect, and no other row is lost", async (_, line) => {
    const lines = [row(0), line, row(1), row(2)].join("\n");
    const path = await writeFiles({ ...manyPairs(3), "metadata.jsonl": lines });
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(pairs).toHaveLength(3);
    expect(defects.first).toEqual([expect.stringContaining("row 2: expected JSON")]);
    const csv = ["before,after", "00.before.png,00.after.png", line, "01.before.png,01.after.png"].join("\n");
    const table = await writeFiles({ ...manyPairs(2), "metadata.csv": csv });
    const read = await loadPairs(table, { size: 8 });
    expect(read.pairs).toHaveLength(2);
    expect(read.defects.first).toEqual([expect.stringContaining("row 2: expected 2 columns, got 1")]);
  });

  it("skips a CSV row with too many columns, and continues after it", async () => {
    const csv = "before,after\n00.before.png,00.after.png\na,b,c\n01.before.png,01.after.png\n";
    const { pairs, defects } = await loadPairs(await writeFiles({ ...manyPairs(2), "metadata.csv": csv }), {
      size: 8,
    });
    expect([pairs.length, defects.byKind.metadata]).toEqual([2, 1]);
  });

  it.each([
    ["an empty list", { "metadata.jsonl": "\n" }, "expected rows, got none"],
    ["a header alone", { "metadata.csv": "before,after\n" }, "expected rows, got none"],
    ["no column of pictures", { "metadata.jsonl": '{"a": 1}' }, "expected a column with the output picture"],
    [
      "an open quote",
      { "metadata.csv": `a,b\n"${"x".repeat(2 ** 20)}` },
      "expected rows of at most 1048576 bytes",
    ],
    ["no row of JSON", { "metadata.jsonl": "no\nno" }, "expected a column with the output picture"],
  ])("refuses %s", async (_, files: Files, message) => {
    await expect(openPairs({ path: await writeFiles(files) })).rejects.toThrow(message);
  });
});
