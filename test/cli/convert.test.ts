/** @file `xprompt convert` as a process: its result, its refusals, and going on after a kill; and memory known before use. */
import { existsSync } from "node:fs";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { writeBigModel } from "../fixtures/chameleon/big.ts";
import { bin, start, workplace } from "./kit.ts";

const { folder, at, xprompt, succeed, json, refused } = await workplace();

/** Nothing is left of a conversion but its output. */
const expectTidy = async () =>
  expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([]);

beforeAll(() => writeBigModel(at("big"), at("tiny"), 40_000));

test("--json prints one object, and the folder is a model", async () => {
  const made = await json("convert", "tiny", "--quantize", "int4", "--output", "small", "--threads", "1");
  expect(made).toEqual({
    input: at("tiny"),
    output: "small",
    format: "int4",
    parameters: expect.any(Number),
    bytes: { in: expect.any(Number), out: expect.any(Number) },
    seconds: expect.any(Number),
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  const config = JSON.parse(await readFile(at("small", "config.json"), "utf8"));
  expect(config.weights_sha256).toBe(made.sha256);
  const described = await json("inspect", "small");
  const before = await json("inspect", "tiny");
  expect(described.parameters).toEqual(before.parameters);
  expect(described.weights).toMatchObject({ files: 1, bits: 4, blockSize: 64 });
  await expectTidy();
});

test("--block-size is how many numbers share a scale", async () => {
  await succeed("convert", "tiny", "--block-size", "128", "--output", "blocks");
  const config = JSON.parse(await readFile(at("blocks", "config.json"), "utf8"));
  expect(config.quantization_config).toEqual({ quant_method: "xprompt", bits: 4, block_size: 128 });
  await succeed("generate", "--model", "blocks", "--instruction", "rain", "--output", "drawn.png");
});

test("in words: what was written, and progress with rate and time", async () => {
  const args = ["convert", "tiny", "--quantize", "float16", "--output", "half"];
  const { stdout, stderr } = await succeed(...args);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^converting: \d+\/\d+ MiB \(\d+%\)/m);
  expect(stderr).toMatch(/\nwrote half: \d+ parameters in [\d.]+ KiB \(from [\d.]+ KiB\), [\d.]+s\n$/);
});

describe("interrupted", () => {
  const args = ["convert", "big", "--quantize", "float16", "--threads", "1", "--json"];
  /** The output of a conversion that ran through. */
  let whole: Buffer;
  beforeAll(async () => {
    await succeed(...args, "--output", "whole");
    whole = await readFile(at("whole", "model.safetensors"));
  });

  /** A module by which a process sends itself a signal once some tensors are safely on disk. */
  const stopping = (signal: NodeJS.Signals) =>
    `data:text/javascript,${encodeURIComponent(`
      const { write } = process.stderr;
      process.stderr.write = (text) => {
        if (/converting: [1-9]/.test(text)) {
          process.stderr.write = write;
          process.kill(process.pid, "${signal}");
        }
        return write.call(process.stderr, text);
      };`)}`;

  test.each<NodeJS.Signals>(["SIGKILL", "SIGINT"])("by %s it goes on, to the same file", async (signal) => {
    const output = signal.toLowerCase();
    const command = ["--import", stopping(signal), bin, ...args, "--output", output];
    const ended = await start(process.execPath, command, { cwd: folder }).ended;
    if (signal === "SIGKILL") expect(ended.signal).toBe(signal);
    else expect(ended).toMatchObject({ status: 130, stdout: "" });
    expect(existsSync(at(output))).toBe(false);
    const { stderr } = await succeed(...args, "--output", output);
    expect(stderr).toMatch(/continuing an interrupted conversion: [1-9]/);
    expect((await readFile(at(output, "model.safetensors"))).equals(whole)).toBe(true);
    await expectTidy();
  });
});

describe("refused in one line", () => {
  const out = ["--output", "never"];
  test.each<[string, 1 | 2, string[], RegExp]>([
    ["no output", 2, ["convert", "tiny"], /--output/],
    ["an unknown format", 2, ["convert", "tiny", "--quantize", "int3", ...out], /int3/],
    ["no threads", 2, ["convert", "tiny", "--threads", "0", ...out], /--threads: expected a whole number/],
    [
      "blocks of another size",
      2,
      ["convert", "tiny", "--block-size", "48", ...out],
      /--block-size: expected .*32.*64.*128.*48/,
    ],
    [
      "blocks of plain weights",
      2,
      ["convert", "tiny", "--quantize", "float16", "--block-size", "64", ...out],
      /--block-size: expected --quantize int4 or int8, got float16/,
    ],
    ["no model", 1, ["convert", "none", ...out], /expected a model folder/],
    ["a file", 1, ["convert", "before.png", ...out], /expected a model folder/],
    ["the input as output", 2, ["convert", "tiny", "--output", "tiny"], /another folder than the input's/],
    ["a file as output", 1, ["convert", "tiny", "--output", "before.png"], /got a file/],
    ["no place for it", 1, ["convert", "tiny", "--output", "no/where"], /got none \(create it first\)/],
  ])("%s", async (_name, status, args, says) => {
    await refused(() => xprompt(...args), status, says);
  });

  test("a quantized folder, another method's folder", async () => {
    await succeed("convert", "tiny", "--quantize", "int8", "--output", "eight");
    await refused(() => xprompt("convert", "eight", ...out), 1, /expected weights that are not quantized/);
    await cp(at("tiny"), at("gptq"), { recursive: true });
    const config = JSON.parse(await readFile(at("gptq", "config.json"), "utf8"));
    config.quantization_config = { quant_method: "gptq", bits: 4 };
    await writeFile(at("gptq", "config.json"), JSON.stringify(config));
    await refused(() => xprompt("convert", "gptq", ...out), 1, /expected "xprompt", got "gptq"/);
  });
});

describe("memory", () => {
  test("of any Chameleon folder, from its headers", async () => {
    const { memory, parameters, xprompt, fingerprint } = await json("inspect", "big");
    expect({ xprompt, fingerprint }).toEqual({});
    // 2 kinds × 1 layer × 4 heads × 64 numbers of 4 bytes; 64 positions.
    const { total } = parameters as { total: number };
    expect(memory).toMatchObject({ weights: 4 * total, cachePerToken: 2048, cache: 64 * 2048 });
    await succeed("convert", "big", "--quantize", "int8", "--output", "big8");
    const { memory: smaller } = await json("inspect", "big8");
    // The embedding is not quantized; the head is, to 8 bits a number and its share of a scale.
    expect((smaller as { weights: number }).weights).toBeLessThan(0.7 * 4 * total);
    await rm(at("big8"), { recursive: true });
  });

  test("too little is refused before loading, with the figures and what to do", async () => {
    const { memory } = await json("inspect", "tiny");
    const { total } = memory as { total: number };
    const limited = (bytes: number, ...args: string[]) =>
      start(process.execPath, [bin, ...args], {
        cwd: folder,
        env: { ...process.env, XPROMPT_MEMORY_LIMIT: String(bytes) },
      }).ended;
    const compress = ["compress", "--model", "tiny", "--example", "before.png", "after.png"];
    const generate = ["generate", "--model", "tiny", "--input", "query.png", "--instruction", "x"];
    const says = /loading model \S+: expected [\d.]+ KiB of memory \(.*\), got [\d.]+ KiB available \(.*int4/;
    await refused(() => limited(total - 1, ...compress, "--output", "p.xprompt"), 1, says);
    await refused(() => limited(total - 1, ...generate, "--output", "p.png"), 1, says);
    expect(await limited(total, ...compress, "--output", "p.xprompt")).toMatchObject({ status: 0 });
  });
});
