/** @file `xprompt complete`, as a process. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { savePng } from "../../src/image/index.ts";
import { picture, reference, writeCheckpoint } from "../fixtures/complete/kit.ts";
import { pixelsOf, settingsIn, workplace } from "./kit.ts";

const { at, xprompt, succeed, json, refused } = await workplace();
const plain = ["complete", "--model", "plain", "--threads", "1"];
const fixed = ["--temperature", "0"];

beforeAll(async () => {
  await writeCheckpoint(at("plain"));
  await writeCheckpoint(at("no-decoder"), { withoutDecoder: true });
  for (const name of ["one", "two"]) await savePng(at(`${name}.png`), picture(name));
});

/** A prompt of the reference as the command takes it. */
const promptOf = (parts: (typeof reference)["completions"][number]["prompt"]): string[] =>
  parts.flatMap((part) => (typeof part === "string" ? ["--text", part] : ["--image", `${part.picture}.png`]));

test("text: the reference's, on standard output; the order on the line is the order of the prompt", async () => {
  const asked = reference.completions.find(({ mode, prompt }) => mode === "text" && prompt.length === 2)!;
  const request = [...plain, ...promptOf(asked.prompt), "--max-tokens", String(asked.maxTokens), ...fixed];
  const report = await json(...request);
  expect(report).toMatchObject({
    tokens: { prompt: asked.prompt.length > 0 ? expect.any(Number) : 0, generated: asked.tokens.length },
    settings: { mode: "text", separator: true },
  });
  const [[part]] = report.samples as [[{ text: string }]];
  const { stdout, stderr } = await succeed(...request);
  expect(stdout).toBe(`${part.text.replace(/(?![\n\t])\p{Cc}/gu, "\uFFFD")}\n`);
  expect(stderr).toMatch(/seed \d+, \d+ tokens, \d+ ms\n$/);

  const turned = await json(
    ...plain,
    ...promptOf([...asked.prompt].reverse()),
    "--max-tokens",
    "40",
    ...fixed,
  );
  expect(turned.samples).not.toEqual(report.samples);
});

test("a picture: whole, with the request in it, and the same for the same seed", async () => {
  const request = [...plain, "--text", "a red circle", "--mode", "image", "--guidance", "3", "--seed", "5"];
  const report = await json(...request, "--output", "drawn.png");
  expect(report).toMatchObject({ samples: [[{ picture: "drawn.png" }]], seed: 5, tokens: { generated: 18 } });
  expect(await pixelsOf(at("drawn.png"))).toMatchObject({ width: 16, height: 16 });
  expect(await settingsIn(at("drawn.png"))).toMatchObject({
    command: "complete",
    prompt: ["text: a red circle"],
    mode: "image",
    guidance: 3,
    seed: 5,
    model: "plain",
    fingerprint: report.model,
  });
  const { stdout } = await succeed("inspect", "drawn.png", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ kind: "picture", command: "complete", seed: 5 });
  await succeed(...request, "--output", "again.png");
  expect((await pixelsOf(at("again.png"))).data).toEqual((await pixelsOf(at("drawn.png"))).data);
});

test("several samples: a file each, in a folder if one is given", async () => {
  await mkdir(at("made"));
  const request = [...plain, "--text", "a red circle", "--mode", "image", "--samples", "2", "--seed", "1"];
  const { stdout } = await succeed(...request, "--output", "made");
  expect(stdout).toBe("made/picture-1.png\nmade/picture-2.png\n");
  expect((await readdir(at("made"))).sort()).toEqual(["picture-1.png", "picture-2.png"]);
  const [one, two] = await Promise.all([1, 2].map((i) => readFile(at(`made/picture-${i}.png`))));
  expect(one).not.toEqual(two);
});

test("interleaved: text and the files' names in their order", async () => {
  const asked = reference.completions.find(
    ({ mode, tokens }) => mode === "interleaved" && tokens.length > 40 && tokens.length < 50,
  )!;
  const request = [
    ...[...plain, ...promptOf(asked.prompt), ...fixed, "--mode", "interleaved"],
    ...["--max-tokens", String(asked.maxTokens), "--guidance", String(asked.guidance?.text ?? 1)],
    ...(asked.separator ? [] : ["--no-separator"]),
  ];
  const report = await json(...request, "--output", "mixed.png");
  const [parts] = report.samples as [({ text: string } | { picture: string })[]];
  expect(parts.flatMap((part) => ("picture" in part ? [part.picture] : []))).toEqual([
    "mixed-1.png",
    "mixed-2.png",
  ]);
  expect(parts.length).toBeGreaterThan(2);
  expect((report.tokens as { generated: number }).generated).toBe(asked.tokens.length);
  expect(await pixelsOf(at("mixed-2.png"))).toMatchObject({ width: 16, height: 16 });
});

describe("what is refused", () => {
  test.each<[string, string[], 1 | 2, RegExp]>([
    ["an empty prompt", [], 2, /expected --text or --image, got none/],
    ["no such mode", ["--text", "a", "--mode", "video"], 2, /mode/],
    [
      "a picture without a file",
      ["--text", "a", "--mode", "image"],
      2,
      /--output: expected a PNG file or a folder/,
    ],
    ["a file with text", ["--text", "a", "--output", "x.png"], 2, /--output: expected only for pictures/],
    [
      "another kind of file",
      ["--text", "a", "--mode", "image", "--output", "x.jpg"],
      2,
      /ends in \.png, or a folder/,
    ],
    [
      "the picture it reads",
      ["--image", "one.png", "--mode", "image", "--output", "one.png"],
      2,
      /expected a file that is not an input/,
    ],
    ["a missing picture", ["--image", "none.png"], 1, /reading image none\.png/],
    [
      "too few tokens",
      ["--text", "a", "--mode", "image", "--output", "x.png", "--max-tokens", "17"],
      2,
      /at least 18/,
    ],
    ["too many tokens", ["--text", "a", "--max-tokens", "999"], 2, /the rest of 160 positions, got 999/],
    ["a wrong number", ["--text", "a", "--top-p", "2"], 2, /--top-p: expected a number above 0, up to 1/],
    ["a missing model", ["--text", "a", "--model", "none"], 1, /loading model none/],
  ])("%s", async (_what, args, status, message) => {
    await refused(() => xprompt(...plain, ...args), status, message);
  });

  test("pictures from a model that has no decoder for them", async () => {
    const args = ["complete", "--model", "no-decoder", "--text", "a", "--mode", "image", "--output", "x.png"];
    await refused(() => xprompt(...args), 2, /vqgan\.ckpt/);
  });

  test("nano, which is no plain checkpoint; and no model", async () => {
    await refused(
      () => xprompt("complete", "--model", "nano", "--text", "a"),
      1,
      /use it with .*xprompt generate/,
    );
    await refused(() => xprompt("complete", "--text", "a"), 2, /--model/);
  });

  test("a plain checkpoint where X-Prompt is asked for: says what to do", async () => {
    const args = ["generate", "--model", "plain", "--instruction", "a", "--output", "x.png"];
    await refused(() => xprompt(...args), 1, /xprompt init --base .*plain.*xprompt complete --model/);
  });
});
