/** @file `xprompt inspect`: what it says of a model, a prompt, a graph and a picture; and of what is none of them. */
import { readFile, stat, truncate, writeFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { exportOnnx, Graph, matmul, softmax } from "../../src/graph/index.ts";
import { encodePng } from "../../src/image/index.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";
import { workplace } from "./kit.ts";

const { at, xprompt, succeed, json, refused } = await workplace();

const withText = (text: string) => encodePng(somePicture("text"), { text: { xprompt: text } });

beforeAll(async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["rows", 3]);
  const w = graph.scope().at("layer").parameter("weight", [3, 5]);
  const y = softmax(matmul(x, w), -1);
  const weights = new Map([
    ["layer.weight", { dtype: "float32" as const, shape: [3, 5], data: new Float32Array(15) }],
  ]);
  await writeFile(at("graph.onnx"), exportOnnx({ y }, { weights }));
  await succeed(
    "compress",
    "--model",
    "tiny",
    "--example",
    "before.png",
    "after.png",
    "--output",
    "p.xprompt",
  );
  await succeed(
    ...["generate", "--model", "tiny", "--prompt", "p.xprompt", "--instruction", "make it rain"],
    ...["--seed", "5", "--output", "made.png"],
  );
});

describe("a model", () => {
  test("by name and by folder", async () => {
    const nano = await json("inspect", "nano");
    expect(nano).toMatchObject({
      kind: "model",
      picture: { size: 64, codes: 256, codebook: 4096 },
      xprompt: { tokens: 16 },
    });
    const tiny = await json("inspect", "tiny");
    expect(tiny).toMatchObject({
      kind: "model",
      picture: { size: 32, codes: 16, codebook: 32 },
      decoder: { hiddenSize: 24, layers: 2, heads: 4 },
      xprompt: { tokens: 3, todoPosition: 48, maxTextTokens: 5 },
    });
    expect(await json("inspect", at("tiny"))).toMatchObject({ fingerprint: tiny.fingerprint });
    expect(tiny.fingerprint).not.toBe(nano.fingerprint);
    // Numbers in the file, counted here from its header.
    const bytes = await readFile(at("tiny", "model.safetensors"));
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE())));
    const total = Object.entries(header as Record<string, { shape: number[] }>)
      .filter(([name]) => name !== "__metadata__")
      .map(([, { shape }]) => shape.reduce((product, size) => product * size, 1))
      .reduce((sum, size) => sum + size, 0);
    expect(tiny.parameters).toMatchObject({ total });
    expect(tiny.memory).toMatchObject({ weights: 4 * total });
  });

  test("in words: a line each, sizes of memory in bytes, numbers of parameters as numbers", async () => {
    const tiny = await json("inspect", "tiny");
    const { stdout, stderr } = await succeed("inspect", "tiny");
    expect(stderr).toBe("");
    expect(stdout).toContain("kind: model\n");
    expect(stdout).toContain(`\n  total: ${(tiny.parameters as { total: number }).total}\n`);
    expect(stdout).toMatch(/\nmemory:\n {2}weights: [\d.]+ KiB\n/);
    expect(stdout).toContain("  hiddenSize: 24\n");
  });
});

test("a run folder, and an example library", async () => {
  const recipe = {
    ...{ kind: "transformer", steps: 1, seed: 4, tokenizers: "tiny", model: { layers: 1 }, contexts: 1 },
    ...{ todos: 1, xprompt: { tokens: 3, maxTextTokens: 5 }, mix: { families: ["invert"] } },
    ...{ heldOutBatches: 1, workers: 0, threads: 1, sheetEvery: 100 },
  };
  await writeFile(at("recipe.mjs"), `export default ${JSON.stringify(recipe)};\n`);
  const { stderr } = await succeed("train", "recipe.mjs", "--out", "run");
  expect(stderr).toMatch(/trained 1 step: held out, seen\.right [\d.]+ → [\d.]+, .*; model in run\/model\n$/);
  const found = await json("inspect", "run");
  expect(found).toMatchObject({ kind: "run", recipe: "transformer", seed: 4, done: 1, steps: 1 });
  expect(found).toMatchObject({ curves: "run/curves.svg", model: "run/model" });
  expect(found.metrics).toMatchObject({ "heldOut.seen.right": expect.any(Number) });
  await succeed("examples", "add", "--model", "tiny", "--example", "before.png", "after.png");
  const place = "examples-library";
  expect(await json("inspect", place)).toMatchObject({ kind: "library", place, examples: 1, models: [] });
});

test("a prompt", async () => {
  const { fingerprint } = await json("inspect", "tiny");
  const expected = {
    kind: "prompt",
    model: fingerprint,
    examples: 1,
    slots: 3,
    layers: 2,
    bytes: (await stat(at("p.xprompt"))).size,
  };
  expect(await json("inspect", "p.xprompt")).toEqual(expected);
  const { stdout } = await succeed("inspect", "p.xprompt");
  expect(stdout).toBe(
    `kind: prompt\nmodel: ${fingerprint}\nexamples: 1\nslots: 3\nlayers: 2\nbytes: ${(expected.bytes / 1024).toFixed(1)} KiB\n`,
  );
});

test("a graph", async () => {
  const found = await json("inspect", "graph.onnx");
  expect(found).toMatchObject({
    kind: "graph",
    producer: "xprompt",
    inputs: ["x"],
    outputs: ["y"],
    initializers: 1,
    initializerBytes: 60,
  });
  const { nodes } = found as { nodes: Record<string, number> };
  expect(nodes).toMatchObject({ Gemm: 1, Softmax: 1 });
  const { stdout } = await succeed("inspect", "graph.onnx");
  expect(stdout).toContain("inputs: x\n");
  expect(stdout).toContain("initializerBytes: 60 B\n");
});

test("a picture", async () => {
  expect(await json("inspect", "made.png")).toMatchObject({
    kind: "picture",
    seed: 5,
    sample: 0,
    instruction: "make it rain",
    model: "tiny",
    prompt: ["p.xprompt"],
  });
  const { stdout } = await succeed("inspect", "made.png");
  expect(stdout).toContain("kind: picture\n");
  expect(stdout).toContain("instruction: make it rain\n");
});

test.each(["made.jpg", "made.webp"])("%s has the same settings as a PNG", async (name) => {
  const words = "schöner Regen ☔";
  await succeed(
    ...["generate", "--model", "tiny", "--prompt", "p.xprompt", "--instruction", words],
    ...["--seed", "6", "--output", name],
  );
  expect(await json("inspect", name)).toMatchObject({ kind: "picture", seed: 6, instruction: words });
  const bytes = await readFile(at(name));
  await writeFile(at(`cut-${name}`), bytes.subarray(0, 20));
  await refused(() => xprompt("inspect", `cut-${name}`), 1, /cut-made/);
});

test("groups within groups are shown, as evaluations store them", async () => {
  const settings = { topP: 0.9, wordsAlone: { guidance: { text: 12 } } };
  await writeFile(at("evaluated.png"), await withText(JSON.stringify({ seed: 1, settings })));
  expect(await json("inspect", "evaluated.png")).toMatchObject({ seed: 1, settings });
});

describe("what is none", () => {
  beforeAll(async () => {
    await writeFile(at("notes.txt"), "notes");
    for (const name of ["text.png", "text.onnx", "text.xprompt"])
      await writeFile(at(name), "not what it says\n");
    await writeFile(at("empty.onnx"), "");
    for (const name of ["graph.onnx", "made.png", "p.xprompt"]) {
      const bytes = await readFile(at(name));
      await writeFile(at(`cut-${name}`), bytes.subarray(0, bytes.length - 20));
    }
    await writeFile(at("no-json.png"), await withText("{"));
    await writeFile(at("list.png"), await withText("[1, 2]"));
    await writeFile(at("nested.png"), await withText(`{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`));
    await writeFile(at("deep.png"), await withText(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`));
    await writeFile(at("huge.onnx"), "");
    await truncate(at("huge.onnx"), 2 ** 31);
  });

  test.each<[string, RegExp]>([
    ["missing", /missing: expected a model folder or a shipped model/],
    ["missing.png", /image missing\.png: expected it to exist/],
    ["missing.xprompt", /missing\.xprompt: expected it to exist/],
    [
      "notes.txt",
      /notes\.txt: expected a model, run or library folder, a \.xprompt or an \.onnx file, or a picture \(\.png/,
    ],
    ["text.png", /text\.png: expected a PNG/],
    ["text.onnx", /text\.onnx: expected an ONNX model/],
    ["empty.onnx", /empty\.onnx: expected an ONNX model/],
    ["huge.onnx", /huge\.onnx: expected at most/],
    ["text.xprompt", /text\.xprompt/],
    ["cut-graph.onnx", /cut-graph\.onnx: expected an ONNX model/],
    ["cut-made.png", /cut-made\.png: expected a complete PNG/],
    ["cut-p.xprompt", /cut-p\.xprompt: .*cut off/],
    ["before.png", /before\.png: expected a picture made by xprompt/],
    ["no-json.png", /no-json\.png: expected settings in JSON/],
    ["list.png", /list\.png: expected settings in JSON/],
    ["nested.png", /nested\.png: expected settings in JSON/],
    ["deep.png", /deep\.png: expected settings in JSON/],
    ["/dev/null", /\/dev\/null/],
  ])("%s", async (name, says) => {
    await refused(() => xprompt("inspect", name), 1, says);
    await refused(() => xprompt("inspect", name, "--json"), 1, says);
  });

  test("settings that would steer a terminal are shown as text", async () => {
    await writeFile(
      at("steer.png"),
      await withText(JSON.stringify({ "a\x1b[2J": "b\x1b]0;c\x07\nkind: model" })),
    );
    const { stdout } = await succeed("inspect", "steer.png");
    expect(stdout).toBe("kind: picture\na�[2J: b�]0;c� kind: model\n");
  });
});
