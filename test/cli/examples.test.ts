/** @file `xprompt examples` and `generate --library`, as a process. */
import { existsSync } from "node:fs";
import { appendFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { expect, test, vi } from "vitest";
import { examplesCommand } from "../../src/cli/examples.ts";
import { loadImage, savePng } from "../../src/image/index.ts";
import { ExampleLibrary } from "../../src/retrieval/index.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";
import { settingsIn, workplace } from "./kit.ts";

const { at, xprompt, succeed, json, refused } = await workplace();
const tiny = ["--model", "tiny", "--threads", "1"];
await mkdir(at("pairs"));
for (const [name, words] of [
  ["a", "remove the red ball"],
  ["b", "make it rain"],
] as const) {
  await savePng(at("pairs", `${name}.before.png`), somePicture(`${name} before`));
  await savePng(at("pairs", `${name}.after.png`), somePicture(`${name} after`));
  await writeFile(at("pairs", `${name}.txt`), words);
}
const fixture = fileURLToPath(new URL("../fixtures/datasets/pairs.tar", import.meta.url));

test("add, list, search, show, compile, generate, export, remove", async () => {
  const added = await json("examples", "add", "pairs", ...tiny, "--licence", "CC0");
  expect(added).toMatchObject({ library: "examples-library", added: 2, known: 0, refused: 0, examples: 2 });
  const again = await succeed("examples", "add", "pairs", ...tiny, "--licence", "CC0");
  expect(again.stderr).toContain("added 0, 2 existing: examples-library has 2 examples");
  const list = await json("examples", "list");
  const examples = list.examples as { id: string; instruction: string; licence: string }[];
  expect(examples.map(({ instruction }) => instruction).sort()).toEqual([
    "make it rain",
    "remove the red ball",
  ]);
  expect(examples[0]!.licence).toBe("CC0");
  const second = await json("examples", "list", "--limit", "1", "--offset", "1");
  expect(second.examples).toEqual([examples[1]]);

  const search = await json(
    ...[
      "examples",
      "search",
      "it rains",
      ...tiny,
      "--input",
      "query.png",
      "--k",
      "1",
      "--sheet",
      "sheet.png",
    ],
  );
  const [found] = search.found as { id: string; instruction: string; distance: number }[];
  expect(found).toMatchObject({ instruction: "make it rain" });
  const lines = await succeed("examples", "search", "it rains", ...tiny);
  expect(lines.stdout).toMatch(/^0\.\d{4} {2}[0-9a-f]{12} {2}make it rain {2}pairs\n.*remove the red ball/);
  const words = ["--text-weight", "0", "--image-weight", "0", "--words-weight", "1"];
  expect((await succeed("examples", "search", "ball", ...words)).stdout).toContain("remove the red ball");

  expect(await json("examples", "compile", "--vectors-only", ...tiny)).toMatchObject({ blocks: 0 });
  const compiled = await json("examples", "compile", ...tiny);
  expect(compiled).toMatchObject({ vectors: 0, blocks: 2 });
  const id = found!.id;
  const show = await json("examples", "show", id.slice(0, 8), "--sheet", "one.png");
  expect(show).toMatchObject({ id, instruction: "make it rain", compiled: [expect.any(String)] });

  const ask = ["--library", "examples-library", "--instruction", "make it rain", "--seed", "5"];
  const drawn = await json("generate", ...tiny, ...ask, "--input", "query.png", "--output", "out.png");
  expect(drawn.retrieved).toEqual([
    expect.objectContaining({ id, instruction: "make it rain", block: "kept", distance: expect.any(Number) }),
  ]);
  expect(await settingsIn(at("out.png"))).toMatchObject({ library: "examples-library", retrieved: [id] });
  const without = await succeed(
    ...["generate", ...tiny, ...ask, "--min-similarity", "1", "--image-weight", "1"],
    ...["--input", "query.png", "--output", "none.png"],
  );
  expect(without.stderr).toContain("no example of the library is similar enough (the best has 0.");

  await json("examples", "export", "--output", "exported");
  const copy = await json("examples", "add", "exported", ...tiny, "--library", "copy");
  expect(copy).toMatchObject({ added: 2 });
  const ids = async (...where: string[]) =>
    ((await json("examples", "list", ...where)).examples as { id: string }[]).map((each) => each.id).sort();
  expect(await ids("--library", "copy")).toEqual(await ids());
  const sources = async (...where: string[]) =>
    ((await json("examples", "list", ...where)).examples as { source: string }[]).map(({ source }) => source);
  expect(await sources("--library", "copy")).toEqual(["pairs", "pairs"]);
  await json("examples", "add", "pairs", ...tiny, "--library", "named", "--source", "mine");
  expect(await sources("--library", "named")).toEqual(["mine", "mine"]);
  expect(await json("examples", "remove", id.slice(0, 10))).toMatchObject({ removed: 1, ids: [id] });
  expect(await ids()).toHaveLength(1);
});

test("a library is closed, even after an error", async () => {
  const closed = vi.spyOn(ExampleLibrary.prototype, "close");
  const run = (...args: string[]) =>
    examplesCommand(new AbortController().signal).parseAsync(args, { from: "user" });
  const place = at("closed");
  await (await ExampleLibrary.open(place, { create: true })).close();
  const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const commands = [
    ["list", "--library", place],
    ["search", "rain", "--text-weight", "0", "--image-weight", "0", "--library", place],
    ["show", "0123456789", "--library", place],
    ["remove", "0123456789", "--library", place],
    ["export", "--output", at("closed", "exported"), "--library", place],
  ];
  for (const args of commands) {
    closed.mockClear();
    await run(...args).catch(() => {});
    expect(closed, args.join(" ")).toHaveBeenCalledTimes(1);
  }
  written.mockRestore();
  closed.mockRestore();
  await expect(run("search", "rain", "--sheet", "x.jpg")).rejects.toThrow(
    "--sheet: expected a name that ends in .png",
  );
});

test("shards, single pairs and broken records", async () => {
  await cp(at("pairs"), at("broken"), { recursive: true });
  await writeFile(at("broken", "b.after.png"), "no picture");
  const some = await json("examples", "add", "broken", fixture, ...tiny, "--library", "mixed");
  expect(some.added).toBeGreaterThan(1);
  expect(some.refused).toBeGreaterThan(0);
  const pair = ["--example", "before.png", "after.png", "--instruction", "swap"];
  const one = await json("examples", "add", ...pair, ...tiny, "--library", "mixed", "--size", "16");
  expect(one).toMatchObject({ added: 1, examples: (some.examples as number) + 1 });
  await using library = await ExampleLibrary.open(at("mixed"));
  const { id } = (await library.list()).find(({ instruction }) => instruction === "swap")!;
  expect(await loadImage((await library.get(id)).output)).toMatchObject({ width: 16, height: 16 });
  const wrong = ["--example", "before.png", "pairs/a.txt"];
  await sharp(at("before.png")).tiff().toFile(at("before.tif"));
  const tiff = ["--example", "before.tif", "after.png", "--size", "16"];
  expect(await json("examples", "add", ...tiff, ...tiny, "--library", "mixed")).toMatchObject({ added: 1 });
  await writeFile(at("broken.tif"), (await readFile(at("before.tif"))).subarray(0, 100));
  const cut = ["--example", "broken.tif", "after.png", "--size", "16"];
  await refused(
    () => xprompt("examples", "add", ...cut, ...tiny, "--library", "mixed"),
    1,
    "reading image broken.tif: expected a complete image, got a broken or truncated one",
  );
  // Nothing but broken records: they are named, and no library is left behind.
  await mkdir(at("all-broken"));
  for (const side of ["before", "after"]) await writeFile(at("all-broken", `a.${side}.png`), "no picture");
  const { status, stderr } = await xprompt("examples", "add", "all-broken", ...tiny, "--library", "unmade");
  expect([status, existsSync(at("unmade"))]).toEqual([1, false]);
  expect(stderr).toMatch(/refused: a\.before: adding an example: .*expected a PNG, JPEG/);
  const long = ["--example", "before.png", "after.png", "--instruction", "x".repeat(4001)];
  await refused(
    () => xprompt("examples", "add", ...long, ...tiny, "--library", "unmade"),
    1,
    "expected at most 4000 characters",
  );
  expect(existsSync(at("unmade"))).toBe(false);
  const ended = await xprompt("examples", "add", "pairs", ...wrong, ...tiny, "--library", "mixed");
  expect(ended.status).toBe(1);
  expect(ended.stderr).toContain("reading image pairs/a.txt: expected a PNG, JPEG");
});

test("what is wrong is one line, and nothing is written", async () => {
  const examples = (...args: string[]) => xprompt("examples", ...args);
  await refused(
    () => examples("list", "--library", "nowhere"),
    1,
    "expected an example library, got no such",
  );
  await refused(() => examples("add", ...tiny, "--library", "new"), 2, "expected a data set or --example");
  const half = ["--example", "before.png", ...tiny, "--library", "new"];
  await refused(() => examples("add", ...half), 2, "expected two pictures each time");
  await refused(() => examples("search", ...tiny), 2, "expected an instruction or --input, got neither");
  await refused(() => examples("search", "x", "--k", "0", ...tiny), 2, "--k: expected a whole number");
  await examples("add", "pairs", ...tiny, "--library", "there");
  await refused(() => examples("show", "zz", "--library", "there"), 1, "expected 6 to 32 hexadecimal digits");
  await mkdir(at("taken"));
  await appendFile(at("taken", "note.txt"), "mine");
  await refused(
    () => examples("list", "--library", "taken"),
    1,
    "expected an example library, got a folder without one",
  );
  const to = ["--output", "x.png", "--library", "nowhere", "--instruction", "rain"];
  await refused(() => xprompt("generate", ...tiny, ...to), 1, "expected an example library, got no such");
});
