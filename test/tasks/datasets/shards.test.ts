import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { describe, expect, it } from "vitest";
import { loadPairs, openPairs } from "../../../src/tasks/datasets/index.ts";
import { tarMembers } from "../../../src/tasks/datasets/webdataset.ts";
import { all, colorOf, fixture, newFolder, plainPicture } from "./kit.ts";

describe("Parquet shards", () => {
  it("are read as written by pyarrow; a broken picture is skipped", async () => {
    const { pairs, defects } = await loadPairs(fixture("magicbrush.parquet"), { size: 8 });
    expect(pairs.map(({ instruction }) => instruction)).toEqual(
      [0, 1, 2, 3, 5].map((i) => `change number ${i}`),
    );
    expect(pairs.map(({ input, output }) => [colorOf(input), colorOf(output)])).toEqual(
      [0, 1, 2, 3, 5].map((i) => [
        [10 * i, 0, 0],
        [10 * i, 255, 0],
      ]),
    );
    expect(defects).toMatchObject({ total: 1, byKind: { picture: 1 } });
    expect(defects.first[0]).toContain("magicbrush.parquet#4: reading image of the record");
  });

  it("are shuffled by row groups, for any memory limit", async () => {
    const folder = await newFolder();
    for (const i of [0, 1])
      await copyFile(fixture("magicbrush.parquet"), join(folder, `train-0000${i}-of-00002.parquet`));
    for (const memory of [0.0001, 64]) {
      const source = await openPairs({ path: folder, memory, seed: 3 });
      const ids = (await all(source.stream({ size: 8, epochs: 1 }))).map(({ id }) => id);
      expect(new Set(ids).size).toBe(10);
      const groups = ids.map((id) => id.replace(/#(\d)$/, (_, row: string) => `#${Number(row) < 3}`));
      const changes = groups.filter((group, i) => i > 0 && group !== groups[i - 1]).length;
      expect(changes === 3).toBe(memory < 1);
    }
  });

  it("are found by patterns, and kept apart by split", async () => {
    const folder = await newFolder();
    for (const name of ["train-0", "train-1", "dev-0"])
      await copyFile(fixture("ultraedit.parquet"), join(folder, `${name}.parquet`));
    const count = async (path: string, split?: string) => (await openPairs({ path, split })).length;
    expect(await count(folder)).toBe(8);
    expect(await count(folder, "dev")).toBe(4);
    expect(await count(folder, "all")).toBe(12);
    expect(await count(join(folder, "*-0.parquet"), "all")).toBe(8);
    expect(await count(join(folder, "train-{0..1}.parquet"))).toBe(8);
    expect(await count(join(folder, "{dev,test}-?.parquet"))).toBe(4);
    await expect(count(join(folder, "none-*.parquet"))).rejects.toThrow(
      "expected files that match the pattern, got none",
    );
  });

  it("may hold plain bytes, and their columns be named", async () => {
    const picture = new Uint8Array(await plainPicture("a.png", [7, 0, 0]));
    const content = parquetWriteBuffer({
      columnData: [
        { name: "x", data: [picture, picture], type: "BYTE_ARRAY" },
        { name: "y", data: [picture, null as unknown as Uint8Array], type: "BYTE_ARRAY", nullable: true },
        { name: "kind", data: ["one", "two"], type: "STRING" },
      ],
    });
    const path = join(await newFolder(), "a.parquet");
    await writeFile(path, new Uint8Array(content));
    const { pairs, defects } = await loadPairs(path, {
      size: 8,
      columns: { input: "x", output: "y", task: "kind" },
    });
    expect(pairs.map(({ task, input }) => [task, colorOf(input)])).toEqual([["one", [7, 0, 0]]]);
    expect(defects.byKind.missing).toBe(1);
    await expect(openPairs({ path })).rejects.toThrow(
      "expected a column with the output picture, such as output",
    );
  });

  it("have records without an input: captioned pictures, never part of a context of pairs", async () => {
    const picture = new Uint8Array(await plainPicture("a.png", [7, 0, 0]));
    const nothing = null as unknown as Uint8Array;
    const input = [picture, nothing, picture, nothing, picture];
    const content = parquetWriteBuffer({
      columnData: [
        { name: "input", data: input, type: "BYTE_ARRAY", nullable: true },
        { name: "output", data: Array(5).fill(picture), type: "BYTE_ARRAY" },
        { name: "instruction", data: ["a", "b", "c", "d", "e"], type: "STRING" },
      ],
    });
    const path = join(await newFolder(), "a.parquet");
    await writeFile(path, new Uint8Array(content));
    const { pairs } = await loadPairs(path, { size: 8 });
    expect(pairs.map(({ task }) => task === "text-to-image")).toEqual(input.map((each) => each === nothing));
    const source = await openPairs({ path });
    for (let n = 0; n < 5; n++) {
      const { examples, todos } = await source.context(n, { examples: 2, todos: 2, size: 8 });
      for (const pair of [...examples, ...todos]) expect(colorOf(pair.input)).toEqual([7, 0, 0]);
    }
    expect(source.defects).toMatchObject({ total: 2, byKind: { missing: 2 } });
    expect(source.defects.first[0]).toContain("it has no input picture");
  });

  it("may be captioned pictures alone", async () => {
    const picture = new Uint8Array(await plainPicture("a.png", [7, 0, 0]));
    const content = parquetWriteBuffer({
      columnData: [
        { name: "image", data: [picture, picture], type: "BYTE_ARRAY" },
        { name: "caption", data: ["a", "b"], type: "STRING" },
        { name: "source", data: ["flickr", "c.png"], type: "STRING" },
        { name: "target", data: [1, 2], type: "INT32" },
      ],
    });
    const path = join(await newFolder(), "a.parquet");
    await writeFile(path, new Uint8Array(content));
    const { examples, todos } = await (await openPairs({ path })).context(0, {
      examples: 1,
      todos: 2,
      size: 8,
    });
    expect([examples.length, todos.length, todos[0]!.input]).toEqual([0, 2, undefined]);
  });

  it("are refused when cut off, or when they are something else", async () => {
    const folder = await newFolder();
    const path = join(folder, "a.parquet");
    const whole = await readFile(fixture("ultraedit.parquet"));
    for (const content of [whole.subarray(0, 2000), Buffer.from("PAR1"), Buffer.from("no Parquet at all")]) {
      await writeFile(path, content);
      await expect(openPairs({ path })).rejects.toThrow(
        /expected a whole Parquet file, got .* \(download it again\)/,
      );
    }
  });

  it("with a broken row group lose only its rows", async () => {
    const path = join(await newFolder(), "a.parquet");
    const content = await readFile(fixture("magicbrush.parquet"));
    // The pages of the first row group begin after the magic number.
    content.fill(0xff, 100, 400);
    await writeFile(path, content);
    const { pairs, defects } = await loadPairs(path, { size: 8 });
    expect(pairs.map(({ instruction }) => instruction)).toEqual(["change number 3", "change number 5"]);
    expect(defects.total).toBe(4);
  });
});

describe("WebDataset shards", () => {
  it("are read as written by Python's tarfile: long names, JSON, texts", async () => {
    const { pairs, defects } = await loadPairs(fixture("pairs.tar"), { size: 8 });
    expect(pairs.map(({ instruction, output }) => [instruction, colorOf(output)])).toEqual([
      ["make it green", [1, 255, 0]],
      ["grün", [2, 255, 0]],
      [undefined, [3, 255, 0]],
    ]);
    expect(pairs[1]!.subtask).toBe("colour");
    expect(pairs[2]!.id).toBe("pairs/../../escape");
    expect(defects).toMatchObject({ total: 2, byKind: { missing: 1, metadata: 1 } });
  });

  it("are scanned for the offsets of their members", async () => {
    const content = await readFile(fixture("pairs.tar"));
    const members = await tarMembers(fixture("pairs.tar"));
    expect(members).toHaveLength(12);
    for (const { name, offset, size } of members) {
      const start = content.subarray(offset, offset + 4).toString("latin1");
      if (name.endsWith(".png")) expect(start).toBe("\x89PNG");
      expect(offset % 512).toBe(0);
      expect(size).toBeGreaterThan(0);
    }
  });

  it("are refused when cut off, compressed, or something else", async () => {
    const path = join(await newFolder(), "a.tar");
    const whole = await readFile(fixture("pairs.tar"));
    const [, , , member] = await tarMembers(fixture("pairs.tar"));
    const contents = [whole.subarray(0, member!.offset + 20), Buffer.alloc(4096, 0x1f), Buffer.alloc(10240)];
    for (const content of contents) {
      await writeFile(path, content);
      await expect(openPairs({ path })).rejects.toThrow(
        /expected a complete tar file, got: .* \(unpack .gz first/,
      );
    }
  });
});
