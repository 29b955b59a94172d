/** @file `xprompt eval` as a process: one JSON object, files in their folder, usage errors in one line. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { workplace } from "../cli/kit.ts";

const { folder, json, refused, succeed, xprompt } = await workplace();

test("prints one JSON object, the one in results.json", async () => {
  const args = ["eval", "compression", "--model", "tiny", "--limit", "1", "--greedy", "--threads", "1"];
  const { output, ...result } = await json(...args, "--out", "measured");
  expect(output).toBe("measured");
  expect(result).toMatchObject({ suite: "compression", model: "tiny", limit: 1, seed: 2026 });
  expect(result.settings).toEqual({ temperature: 0, topK: 0, topP: 1, guidance: 1 });
  expect(result.command).toBe(
    "xprompt eval compression --model tiny --threads 1 --limit 1 --seed 2026 --greedy",
  );
  expect(JSON.parse(await readFile(join(folder, "measured", "results.json"), "utf8"))).toEqual(result);
  expect(await readdir(join(folder, "measured"))).toEqual(
    expect.arrayContaining(["drawings", "report.html", "results.json"]),
  );
  const { stdout } = await succeed(...args, "--out", "measured");
  const lines = stdout.trimEnd().split("\n");
  expect(lines.length).toBeGreaterThanOrEqual(2);
  expect(lines.length).toBeLessThanOrEqual(6);
  expect(stdout).toContain("colour fit");
  await refused(
    () => xprompt("eval", "describe", "--model", "tiny", "--out", "measured"),
    1,
    "expected a folder of suite describe, got results of compression",
  );
});

test("--expected is reported, and its pictures are cached separately from sampled ones", async () => {
  await symlink("tiny", join(folder, "it's tiny"));
  const args = [
    "eval",
    "compression",
    "--model",
    "it's tiny",
    "--limit",
    "1",
    "--out",
    "expected",
    "--threads",
    "1",
  ];
  const sampled = await json(...args);
  const expected = await json(...args, "--expected");
  expect(expected.settings).toEqual({ ...(sampled.settings as object), expected: true });
  expect(expected.command).toBe(`${sampled.command} --expected`);
  expect(sampled.command).toContain("--model 'it'\\''s tiny'");
  const generations = await Promise.all(
    (await readdir(join(folder, "expected", "drawings"))).map(async (key) => {
      const [path] = await readdir(join(folder, "expected", "drawings", key), { recursive: true }).then(
        (paths) => paths.filter((each) => each.endsWith(".png")).sort(),
      );
      return readFile(join(folder, "expected", "drawings", key, path!));
    }),
  );
  expect(generations).toHaveLength(2);
  expect(generations[0]).not.toEqual(generations[1]);
});

test("a suite that fails before its first picture leaves no folder behind", async () => {
  await mkdir(join(folder, "no-lol"));
  const args = ["eval", "lol", "--model", "tiny", "--data", "no-lol", "--out", "unmade"];
  await refused(() => xprompt(...args), 1, "no-lol");
  expect(existsSync(join(folder, "unmade"))).toBe(false);
});

test.each([
  ["an unknown suite", ["eval", "unsene"], 2, /unsene.*unseen/],
  ["no suite", ["eval"], 2, /missing required argument 'suite'/],
  ["a suite without its data", ["eval", "lol", "--model", "tiny"], 2, "expected --data"],
  ["a limit of nothing", ["eval", "unseen", "--limit", "0"], 2, "--limit: expected a whole number from 1"],
  ["greedy and a temperature", ["eval", "unseen", "--greedy", "--temperature", "1"], 2, "got both"],
  ["a comparison of another suite", ["eval", "seen", "--as", "full"], 2, "only with unseen and compression"],
  [
    "a comparison that the suite does not know",
    ["eval", "unseen", "--as", "sweep"],
    2,
    "expected full or causal, got sweep",
  ],
  ["--for by itself", ["eval", "unseen", "--for", "tiny"], 2, "--for with --as"],
  ["data for a suite without", ["eval", "seen", "--data", "before.png"], 2, "expected no --data"],
  ["missing pictures", ["eval", "photos", "--model", "tiny"], 2, "npm run gather -- --out DIR"],
  ["pictures for a suite without", ["eval", "seen", "--pictures", "."], 2, "expected no --pictures"],
  ["an invalid size", ["eval", "photos", "--size", "300"], 2, "--size: expected 256 or 1024"],
  [
    "a size for a suite without",
    ["eval", "icons", "--pictures", ".", "--size", "256"],
    2,
    "expected no --size",
  ],
  ["a folder without pictures", ["eval", "icons", "--model", "tiny", "--pictures", "."], 1, "npm run gather"],
  ["missing data", ["eval", "lol", "--model", "tiny", "--data", "nowhere"], 1, "found no nowhere"],
  [
    "sampling settings without sampling",
    ["eval", "describe", "--temperature", "1"],
    2,
    "generates no pictures",
  ],
  ["expected codes without sampling", ["eval", "describe", "--expected"], 2, "generates no pictures"],
  [
    "figures for a folder that is no model",
    ["eval", "unseen", "--model", "tiny", "--as", "full", "--for", "."],
    1,
    "config.json",
  ],
  [
    "a model compared with itself",
    ["eval", "unseen", "--model", "tiny", "--as", "full", "--for", "tiny"],
    2,
    "--as: expected another model",
  ],
  ["no such model", ["eval", "seen", "--model", "nowhere"], 1, "nowhere"],
  [
    "a folder that is a file",
    ["eval", "seen", "--model", "tiny", "--out", "query.png"],
    1,
    "query.png: expected a folder or nothing, got a file",
  ],
] as const)("%s is refused in one line", async (_name, args, status, says) => {
  await refused(() => xprompt(...args), status, says);
});
