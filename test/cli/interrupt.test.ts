/** @file Ctrl-C: status 130, one line, nothing half-written, and a training run that goes on where its checkpoint is. */
import { mkdir, readdir, readFile, watch } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { endOnSecond } from "../../src/cli/main.ts";
import { bin, expectOneLine, listing, repository, start, workplace } from "./kit.ts";

const { folder, at, xprompt, refused } = await workplace();
const running = (...args: string[]) => start(process.execPath, [bin, ...args], { cwd: folder });

describe.each(["SIGINT", "SIGTERM"] as const)("%s while generating", (signal) => {
  test("writes nothing", async () => {
    const draw = async () => {
      const request = ["--example", "before.png", "after.png", "--samples", "64", "--guidance", "2"];
      const codeByCode = ["--no-one-pass", "--no-expected"];
      const drawing = running("generate", ...request, ...codeByCode, "--output", "out.png");
      await drawing.says(/generating: 1\/16 rows/);
      drawing.child.kill(signal);
      return drawing.ended;
    };
    await refused(draw, 130, "xprompt: interrupted", { afterProgress: true });
  });
});

test("while it waits for standard input", async () => {
  const wait = async () => {
    const command = [
      bin,
      "generate",
      "--example",
      "before.png",
      "after.png",
      "--input",
      "-",
      "--output",
      "in.png",
    ];
    const waiting = start(process.execPath, command, { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
    // More than a pipe holds: once it is written, the command is reading.
    await new Promise((written) => waiting.child.stdin!.write(Buffer.alloc(2 ** 20), written));
    waiting.child.kill("SIGINT");
    return waiting.ended;
  };
  await refused(wait, 130, "xprompt: interrupted");
});

describe("while training", () => {
  const recipe = join(repository, "recipes", "nano-tokenizer.ts");
  const small = [
    ...["--worlds.photos=0", "--worlds.icons=0", "--model.patches=false"],
    ...["--steps=1000000", "--batch=2", "--threads=1", "--workers=0", "--text.tasks=1"],
    ...["--model.resolution=16", "--model.baseChannels=4", "--model.channelMultiplier=1,1"],
    ...["--model.latentChannels=4", "--model.embedDim=2", "--model.codes=8", "--model.normGroups=2"],
    ...["--logEvery=1", "--checkpointEvery=1", "--evaluateEvery=1000000", "--sheetEvery=1000000"],
  ];
  const train = (...more: string[]) => running("train", recipe, ...small, "--out", "run", ...more);
  const stepOf = async () =>
    JSON.parse(await readFile(at("run", "checkpoint", "training.json"), "utf8")).step;

  /** Trains until the checkpoint is beyond a step, and presses Ctrl-C. */
  async function interrupted(beyond: number, ...more: string[]) {
    const training = train(...more);
    const reached = (async () => {
      for await (const _change of watch(at("run"))) if ((await stepOf().catch(() => 0)) > beyond) return;
    })();
    await Promise.race([reached, training.ended.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
    training.child.kill("SIGINT");
    return training.ended;
  }

  test("leaves a checkpoint that the run goes on from", async () => {
    await mkdir(at("run"));
    const first = await interrupted(2);
    expect(first).toMatchObject({ status: 130, signal: null, stdout: "" });
    expect(first.stderr.trimEnd().split("\n").at(-1)).toBe(
      "xprompt: interrupted: run holds the progress so far (continue with --resume)",
    );
    expect(first.stderr).not.toMatch(/\n {4}at /);
    const stopped = await stepOf();
    expect(stopped).toBeGreaterThan(2);

    const second = await interrupted(stopped + 2, "--resume");
    expect(second).toMatchObject({ status: 130, stdout: "" });
    expect(await stepOf()).toBeGreaterThan(stopped + 2);
    const lines = (await readFile(at("run", "metrics.jsonl"), "utf8")).trimEnd().split("\n");
    const steps = lines.map((line) => JSON.parse(line).step as number);
    expect(steps).toEqual(steps.map((_, i) => i)); // step 0: measured before the first
    expect((await readdir(at("run"))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("what a run is refused for: one line, nothing written", async () => {
    await refused(() => train("--stepz=3").ended, 2, /--stepz: no such setting \(did you mean steps\?/);
    await refused(() => train("--batch=0").ended, 2, /--batch: expected it once/);
    await refused(() => train("extra").ended, 2, /expected --key=value, got "extra"/);
    await refused(() => train().ended, 2, /run: expected a new folder, got one that holds a run/);
    await refused(
      () => train("--resume", "--seed=2").ended,
      1,
      /expected the recipe that it was started with.*seed/,
    );
    await refused(() => xprompt("train", "missing.ts"), 1, /missing\.ts: expected a file/);
    await refused(() => xprompt("train", "before.png"), 1, /before\.png/);
    await refused(() => xprompt("train", "tiny"), 1, /tiny/);
    const nano = join(repository, "recipes", "nano-windows.ts");
    await refused(() => xprompt("train", nano, "--stepz=3"), 2, "--stepz");
    await refused(() => xprompt("train", nano, "--tokenizers=none", "--out", "new"), 1, "loading model none");
    await refused(() => xprompt("train", recipe, ...small, "--resume", "--out", "new"), 1, /found none/);
    expect((await listing(folder)).some((line) => line.startsWith("new"))).toBe(false);
    expectOneLine(
      (await xprompt("train", recipe, ...small, "--out", "before.png/run")).stderr,
      "before.png/run",
    );
  });
});

test("a signal that npx passes on is the same one, a later one ends the process", async () => {
  const told: string[] = [];
  let time = 0;
  const onSignal = endOnSecond(
    () => told.push("interrupt"),
    (signal) => told.push(signal),
    () => time,
  );
  onSignal("SIGINT");
  time = 5000; // the process was busy
  onSignal("SIGINT");
  await new Promise(setImmediate);
  time += 500;
  onSignal("SIGINT");
  expect(told).toEqual(["interrupt"]);
  time += 1000;
  onSignal("SIGTERM");
  expect(told).toEqual(["interrupt", "SIGTERM"]);
});
