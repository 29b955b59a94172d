/** @file `xprompt caption` as a process, against a server of this test's own; and its captions read back. */

import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { savePng } from "../../src/image/index.ts";
import { openPairs } from "../../src/tasks/index.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";
import { workplace } from "./kit.ts";

const caption = {
  subtask: "Object Removal",
  instruction: "remove the chair",
  reverseInstruction: "add a chair",
  difference: "The chair of the input image is gone in the output image.",
  reverseDifference: "The output image has a chair.",
};
let asked = 0;
/** What the server says instead of a caption. */
let instead: string | undefined;
const server = createServer((request, response) => {
  request.resume().on("end", () => {
    asked++;
    const message = { role: "assistant", content: instead ?? JSON.stringify(caption) };
    const choices = [{ index: 0, finish_reason: "stop", message }];
    const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(
      JSON.stringify({ id: "1", object: "chat.completion", created: 0, model: "v", choices, usage }),
    );
  });
});
let address = "";
const { folder, at, xprompt, json, refused } = await workplace();
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  for (const side of ["input", "output"]) {
    await mkdir(join(folder, "pairs", side), { recursive: true });
    for (const i of [0, 1, 2])
      await savePng(join(folder, "pairs", side, `${i}.png`), somePicture(`${side} ${i}`));
  }
});
afterEach(() => {
  instead = undefined;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const arguments_ = (...more: string[]) => [
  ...["caption", "pairs", "--server", address, "--caption-model", "v", "--output", "captions.jsonl"],
  ...["--size", "32", ...more],
];

/** All three pairs of a folder have the caption. */
async function expectCaptions(pairs: string, captions: string): Promise<void> {
  const set = await openPairs({ path: at(pairs), captions: at(captions) });
  const records: unknown[] = [];
  for await (const record of set.records()) records.push(record);
  expect(records).toMatchObject([caption, caption, caption]);
}

test("asks once for every pair, keeps the answers, and data sets read them", async () => {
  const first = await xprompt(...arguments_("--json", "--limit", "2"));
  expect(first.status).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({ asked: 2, cached: 0, failed: 0, promptTokens: 14 });
  const second = await xprompt(...arguments_("--json"));
  expect(JSON.parse(second.stdout)).toMatchObject({ asked: 1, cached: 2, failed: 0 });
  expect(asked).toBe(3);

  await expectCaptions("pairs", "captions.jsonl");
});

test("what is wrong is one line, and the captions that are there stay", async () => {
  const kept = await readFile(join(folder, "captions.jsonl"), "utf8");
  const wrong = async (status: number, pattern: RegExp, ...args: string[]) => {
    const outcome = await xprompt(...args);
    expect(outcome.status).toBe(status);
    expect(outcome.stderr.trim().split("\n").at(-1)).toMatch(pattern);
    expect(outcome.stderr).not.toContain("    at ");
  };
  await wrong(2, /--server: expected a URL/, ...arguments_("--server", "nowhere"));
  await wrong(2, /--output: expected a name that ends in .jsonl/, ...arguments_("--output", "a.txt"));
  await wrong(
    1,
    /expected a server at http:\/\/127.0.0.1:9\/v1/,
    ...arguments_("--server", "http://127.0.0.1:9/v1", "--output", "other.jsonl", "--retries", "0"),
  );
  expect(existsSync(join(folder, "other.jsonl"))).toBe(false);
  await writeFile(join(folder, "notes.jsonl"), "my notes\n");
  await wrong(1, /line 1: expected a caption/, ...arguments_("--output", "notes.jsonl"));
  await expect(
    openPairs({ path: join(folder, "pairs"), captions: join(folder, "none.jsonl") }),
  ).rejects.toThrow(/there is no such file/);
  expect(await readFile(join(folder, "captions.jsonl"), "utf8")).toBe(kept);
});

test("an output that can not be written is refused before a question is asked", async () => {
  const before = asked;
  const into = (path: string) =>
    refused(() => xprompt(...arguments_("--output", path)), 1, `--output ${path}`);
  await into(at("nowhere", "z.jsonl"));
  await mkdir(at("folder.jsonl"));
  await into(at("folder.jsonl"));
  expect(asked).toBe(before);
});

test("a run without one caption has failed", async () => {
  instead = "I would rather not.";
  const outcome = await xprompt(...arguments_("--output", "none.jsonl", "--retries", "0", "--json"));
  expect(outcome).toMatchObject({ status: 1, stdout: "" });
  expect(outcome.stderr).toMatch(/^failed: .*expected a JSON object, got none$/m);
  expect(outcome.stderr.trim().split("\n").at(-1)).toMatch(
    /^xprompt: captioning pairs: expected a pair that can be captioned, got none: 3 failed, 0 skipped/,
  );
  expect(existsSync(at("none.jsonl"))).toBe(false);
});

test("broken records are skipped, counted and told", async () => {
  await cp(at("pairs"), at("broken"), { recursive: true });
  await writeFile(at("broken", "output", "0.png"), "no picture");
  await writeFile(at("broken", "output", "2.png"), "no picture");
  const args = ["caption", "broken", "--server", address, "--caption-model", "v", "--output", "broken.jsonl"];
  expect(await json(...args, "--size", "32")).toMatchObject({ pairs: 1, failed: 0, skipped: 2 });
  const { stderr } = await xprompt(...args, "--size", "32");
  expect(stderr).toMatch(/^captioning: 3\/3 pairs \(100%\)/m);
  expect(stderr).toMatch(/^skipped: input\/0: /m);
  expect(stderr).toMatch(/^wrote broken.jsonl: .* 0 failed, 2 incomplete records skipped/m);
});

test("pictures that come to bear another name keep their captions", async () => {
  await cp(at("pairs"), at("renamed"), { recursive: true });
  for (const side of ["input", "output"])
    for (const i of [0, 1, 2])
      await rename(at("renamed", side, `${i}.png`), at("renamed", side, `new-${i}.png`));
  await cp(at("captions.jsonl"), at("renamed.jsonl"));
  const args = [
    "caption",
    "renamed",
    "--server",
    address,
    "--caption-model",
    "v",
    "--output",
    "renamed.jsonl",
  ];
  expect(await json(...args, "--size", "32")).toMatchObject({ asked: 0, cached: 3 });
  await expectCaptions("renamed", "renamed.jsonl");
});
