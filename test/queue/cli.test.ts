/** @file The commands with a Redis: workers as processes, an evaluation over them, and errors in one line. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { bin, start, workplace } from "../cli/kit.ts";
import { hasRedis, needed, redisServer } from "./kit.ts";

const redis = await redisServer();
const { at, folder, json, refused, xprompt } = await workplace();

const recipe = {
  ...{ kind: "transformer", steps: 8, contexts: 2, todos: 2, heldOutBatches: 1, threads: 1, workers: 0 },
  ...{ tokenizers: "tiny", model: { layers: 1, hiddenSize: 32, intermediateSize: 32, heads: 2 } },
  ...{ xprompt: { tokens: 3 }, mix: { families: ["invert", "rain"], heldOut: [] } },
};

describe.skipIf(!hasRedis)(`workers as processes${needed}`, () => {
  test("an evaluation goes on when a worker is killed, and has the figures of a local one", async () => {
    const worker = () =>
      start(
        process.execPath,
        [bin, "worker", "--redis", redis.url, "--model", "tiny", "--threads", "1", "--lock", "3"],
        { cwd: folder },
      );
    const args = ["eval", "text-to-image", "--model", "tiny", "--limit", "2", "--threads", "1"];
    const first = worker();
    await first.says(/taking jobs of model tiny/);
    const running = start(process.execPath, [bin, ...args, "--redis", redis.url, "--json"], { cwd: folder });
    await running.says(/text-to-image: 1\/12/);
    first.child.kill("SIGKILL");
    const second = worker();
    const there = await running.ended;
    expect(there.status, there.stderr).toBe(0);
    expect(JSON.parse(there.stdout)).toEqual(await json(...args));
    second.child.kill("SIGTERM");
    expect(await second.ended).toMatchObject({ status: 0, stdout: "" });
  });

  test("a data set is tokenized by workers, one of which is killed, as by one process", async () => {
    await writeFile(at("recipe.mjs"), `export default ${JSON.stringify(recipe)};\n`);
    const worker = () =>
      start(
        process.execPath,
        [
          ...[bin, "worker", "--redis", redis.url, "--model", "tiny", "--threads", "1", "--lock", "2"],
          ...["--kinds", "tokenize", "--tokens", "shared", "--concurrency", "1"],
        ],
        { cwd: folder },
      );
    const first = worker();
    await first.says(/taking jobs .*: tokenize/);
    const args = ["data", "tokenize", "recipe.mjs", "--shards", "4", "--json"];
    const running = start(process.execPath, [bin, ...args, "--out", "shared", "--redis", redis.url], {
      cwd: folder,
    });
    await running.says(/tokenizing: \d/);
    first.child.kill("SIGKILL");
    const second = worker();
    const there = await running.ended;
    expect(there.status, there.stderr).toBe(0);
    expect(JSON.parse(there.stdout)).toMatchObject({ complete: true, made: 4 });
    await json(...args, "--out", "alone");
    const names = (await readdir(at("alone"))).sort();
    expect((await readdir(at("shared"))).sort()).toEqual(names);
    for (const name of names)
      expect(await readFile(at("shared", name))).toEqual(await readFile(at("alone", name)));
    second.child.kill("SIGTERM");
    expect(await second.ended).toMatchObject({ status: 0 });
  });
});

test("a Redis that is away is one line, without its password", async () => {
  const url = "redis://someone:hidden@127.0.0.1:1/0";
  const says = /connecting to Redis at redis:\/\/127\.0\.0\.1:1\/0: expected an answer, got: .*ECONNREFUSED/;
  for (const command of [["worker"], ["eval", "seen"]]) {
    const { stderr } = await refused(() => xprompt(...command, "--model", "tiny", "--redis", url), 1, says);
    expect(stderr).not.toMatch(/hidden|someone/);
  }
});

test("a wrong option is refused before anything is loaded", async () => {
  await refused(
    () => xprompt("worker", "--redis", "redis://127.0.0.1:1", "--kinds", "draw"),
    2,
    /--kinds: expected generate, .*got draw/,
  );
});
