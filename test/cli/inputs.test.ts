/** @file `xprompt generate` on several pictures, on folders, and between pipes. */
import { spawn } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { bin, pixelsOf, settingsIn, workplace } from "./kit.ts";

const { folder, at, xprompt, json, succeed, refused } = await workplace();
const request = [
  "generate",
  "--model",
  "tiny",
  "--threads",
  "1",
  "--example",
  "before.png",
  "after.png",
  "--seed",
  "3",
];

beforeAll(async () => {
  await mkdir(at("photos"));
  for (const name of ["before", "after"]) await copyFile(at(`${name}.png`), at("photos", `${name}.png`));
  await writeFile(at("photos", "notes.txt"), "no picture");
  await writeFile(at("photos", "._before.png"), "what a Mac leaves beside it");
  await mkdir(at("photos", "album.png"));
  await mkdir(at("empty"));
  await mkdir(at("twins"));
  await copyFile(at("query.png"), at("twins", "QUERY.png"));
});

test("every picture of a folder, and others, each as it is alone, in one folder", async () => {
  const report = await json(...request, "--input", "photos", "--input", "query.png", "--output", "results");
  expect(report.outputs).toEqual(["results/after.png", "results/before.png", "results/query.png"]);
  expect(report.results).toMatchObject([
    { input: "photos/after.png", outputs: ["results/after.png"], seed: 3, fullSize: true },
    { input: "photos/before.png" },
    { input: "query.png" },
  ]);
  expect((await readdir(at("results"))).sort()).toEqual(["after.png", "before.png", "query.png"]);
  await succeed(...request, "--input", "query.png", "--output", "alone.png");
  expect((await pixelsOf(at("results", "query.png"))).data).toEqual((await pixelsOf(at("alone.png"))).data);
  expect(await settingsIn(at("results", "query.png"))).toEqual(await settingsIn(at("alone.png")));
});

test("from standard input to standard output", async () => {
  await succeed(...request, "--input", "query.png", "--output", "file.png");
  const child = spawn(process.execPath, [bin, ...request, "--input", "-", "--output", "-"], { cwd: folder });
  child.stdin.end(await readFile(at("query.png")));
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) chunks.push(chunk);
  await writeFile(at("piped.png"), Buffer.concat(chunks));
  expect((await pixelsOf(at("piped.png"))).data).toEqual((await pixelsOf(at("file.png"))).data);
  expect(await settingsIn(at("piped.png"))).toEqual({
    ...(await settingsIn(at("file.png"))),
    input: "stdin",
  });
});

test("a broken picture among others is reported, and the others are changed", async () => {
  await mkdir(at("mixed"));
  await writeFile(at("mixed", "broken.png"), "no picture");
  await copyFile(at("query.png"), at("mixed", "whole.png"));
  const outcome = await xprompt(...request, "--input", "mixed", "--output", "some", "--samples", "2");
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toContain("failed: ");
  expect(outcome.stderr).toMatch(
    /xprompt: generate: expected 2 pictures that can be changed, got 1 that cannot \(see above; the results of the others are in some\)\n$/,
  );
  expect((await readdir(at("some"))).sort()).toEqual(["whole-1.png", "whole-2.png"]);
  const asJson = await xprompt(...request, "--input", "mixed", "--output", "again", "--json");
  expect(asJson.status).toBe(1);
  expect(JSON.parse(asJson.stdout)).toMatchObject({
    outputs: [join("again", "whole.png")],
    results: [{ input: join("mixed", "whole.png") }],
    failed: [{ input: join("mixed", "broken.png"), error: expect.stringContaining("broken.png") }],
  });
});

test("a folder of one picture is reported as any folder", async () => {
  await mkdir(at("one"));
  await writeFile(at("one", "a.png"), "no picture");
  const broken = await xprompt(...request, "--input", "one", "--output", "ones", "--json");
  expect(broken.status).toBe(1);
  expect(broken.stderr).toMatch(/expected 1 picture that can be changed, got 1 that cannot \(see above\)\n$/);
  expect(JSON.parse(broken.stdout)).toMatchObject({
    outputs: [],
    results: [],
    failed: [{ input: join("one", "a.png") }],
  });
  await copyFile(at("query.png"), at("one", "a.png"));
  const whole = await json(...request, "--input", "one", "--output", "ones");
  expect(whole).toMatchObject({ results: [{ input: join("one", "a.png") }], failed: [] });
});

test.each<[string, string[], 1 | 2, string]>([
  [
    "a file for several pictures",
    ["--input", "photos", "--output", "x.png"],
    2,
    "--output x.png: expected a folder for the results of several pictures, got a file",
  ],
  [
    "two pictures of one name on a disk that ignores case",
    ["--input", "query.png", "--input", "twins", "--output", "x"],
    2,
    "expected names that differ, got query.png and twins/QUERY.png, both for x/QUERY.png",
  ],
  [
    "a folder without pictures",
    ["--input", "empty", "--output", "x"],
    1,
    "--input empty: expected a folder with pictures",
  ],
  [
    "results over their inputs",
    ["--input", "photos", "--output", "photos"],
    2,
    "expected a file that is not an input",
  ],
  [
    "several pictures to standard output",
    ["--input", "photos", "--output", "-"],
    2,
    "--output -: expected one picture for standard output",
  ],
  [
    "nothing on standard input",
    ["--input", "-", "--output", "x.png"],
    1,
    "--input -: reading standard input: expected a picture, got nothing",
  ],
  [
    "standard input twice",
    ["--input", "-", "--input", "-", "--output", "x"],
    2,
    "--input: expected - for standard input once, got it twice",
  ],
])("refused: %s", async (_name, args, status, says) => {
  await refused(() => xprompt(...request, ...args), status, says);
});
