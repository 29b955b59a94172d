/** @file `xprompt generate` and `xprompt compress`, as processes. */
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import { pixelsOf, settingsIn, workplace } from "./kit.ts";

const { folder, at, xprompt, succeed, json } = await workplace();
const pair = ["--example", "before.png", "after.png"];
const tiny = ["--model", "tiny", "--threads", "1"];

/** Soft colours; with a fourth channel, half of it clear. */
function gradient(width: number, height: number, turn: number, channels: 3 | 4 = 3) {
  const data = Buffer.alloc(width * height * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) {
        const wave = Math.sin((c + turn) * 2 + (3 * x) / width - (5 * y) / height);
        data[(y * width + x) * channels + c] = c < 3 ? 127 + 127 * wave : wave > 0 ? 255 : 0;
      }
  return sharp(data, { raw: { width, height, channels } });
}

beforeAll(async () => {
  await gradient(300, 200, 1).png().toFile(at("landscape.png"));
  await gradient(300, 200, 2).jpeg({ quality: 90 }).withMetadata({ orientation: 6 }).toFile(at("turned.jpg"));
  await gradient(120, 90, 3, 4).webp({ lossless: true }).toFile(at("clear.webp"));
  await gradient(17, 4000, 4).png().toFile(at("tall.png"));
});

describe("with the shipped model", () => {
  // The mean codebook vector in one pass, which nano recommends, does not depend on the seed.
  const request = [
    ...["generate", "--example", "landscape.png", "turned.jpg", "--input", "clear.webp", "--no-expected"],
  ];

  test("one JSON object, and the same file for the same seed", async () => {
    const report = await json(...request, "--output", "a.png", "--seed", "7");
    expect(report).toMatchObject({ output: "a.png", outputs: ["a.png"], seed: 7, device: "cpu" });
    expect(report.model).toMatch(/^[0-9a-f]{16}$/);
    expect(report.tokens).toEqual({ examples: 16, prompt: 1 + 258 + 1, generated: 256, unread: 0 });
    const { prepare, draw, decode, total } = report.timings as Record<string, number>;
    for (const time of [prepare, draw, decode]) expect(time).toBeGreaterThan(0);
    expect(total).toBeCloseTo(prepare! + draw! + decode!, 6);
    const { width, height } = await pixelsOf(at("a.png"));
    expect([width, height]).toEqual([120, 90]);

    const { stdout, stderr } = await succeed(...request, "--output", "b.png", "--seed", "7");
    expect(stdout).toBe("");
    expect(stderr).toMatch(/wrote b\.png \(seed 7, \d+ ms\)\n$/);
    expect(await readFile(at("b.png"))).toEqual(await readFile(at("a.png")));

    await succeed(...request, "--output", "c.png", "--seed", "8");
    expect((await pixelsOf(at("c.png"))).data).not.toEqual((await pixelsOf(at("a.png"))).data);
  });

  test("a prompt made by compress gives what the example gives", async () => {
    const report = await json(
      "compress",
      "--example",
      "landscape.png",
      "turned.jpg",
      "--output",
      "p.xprompt",
    );
    expect(report).toMatchObject({ output: "p.xprompt", examples: 1, slots: 16 });
    await succeed(
      "generate",
      "--prompt",
      "p.xprompt",
      "--input",
      "clear.webp",
      "--output",
      "d.png",
      "--seed",
      "7",
      "--no-expected",
    );
    await succeed(...request, "--output", "e.png", "--seed", "7");
    expect((await pixelsOf(at("d.png"))).data).toEqual((await pixelsOf(at("e.png"))).data);
  });
});

describe("pictures as people have them", () => {
  const drawn = async (input: string) => {
    const output = `from-${input.replace(/\W/g, "-")}.png`;
    await succeed(
      "generate",
      ...tiny,
      ...pair,
      "--input",
      input,
      "--output",
      output,
      "--seed",
      "1",
      "--samples",
      "1",
    );
    return (await pixelsOf(at(output))).data;
  };

  test("a turned JPEG is seen upright", async () => {
    const { data, info } = await sharp(at("turned.jpg")).raw().toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    // Orientation 6: the file's first row is the right side.
    const upright = Buffer.alloc(data.length);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < 3; c++)
          upright[(x * height + (height - 1 - y)) * 3 + c] = data[(y * width + x) * channels + c]!;
    await sharp(upright, { raw: { width: height, height: width, channels: 3 } })
      .png()
      .toFile(at("upright.png"));
    await sharp(data, { raw: { width, height, channels } }).png().toFile(at("lying.png"));
    expect(await drawn("turned.jpg")).toEqual(await drawn("upright.png"));
    expect(await drawn("turned.jpg")).not.toEqual(await drawn("lying.png"));
  });

  test("what is clear in a WebP is white", async () => {
    const { data, info } = await sharp(at("clear.webp")).raw().toBuffer({ resolveWithObject: true });
    expect(info.channels).toBe(4);
    const flat = Buffer.alloc(info.width * info.height * 3);
    for (let i = 0; i < flat.length; i++) {
      const pixel = 4 * Math.floor(i / 3);
      flat[i] = data[pixel + 3] === 0 ? 255 : data[pixel + (i % 3)]!;
    }
    await sharp(flat, { raw: { width: info.width, height: info.height, channels: 3 } })
      .png()
      .toFile(at("flat.png"));
    expect(await drawn("clear.webp")).toEqual(await drawn("flat.png"));
  });

  test("a strip of 17 × 4000 pixels", async () => {
    expect(await drawn("tall.png")).toHaveLength(17 * 4000 * 3);
  });
});

describe("size of the result", () => {
  const request = ["generate", ...tiny, ...pair, "--input", "landscape.png", "--seed", "1"];

  test("--model-size gives the model's small result", async () => {
    await succeed(...request, "--model-size", "--output", "bare.png");
    expect(await pixelsOf(at("bare.png"))).toMatchObject({ width: 32, height: 32 });
    expect(await settingsIn(at("bare.png"))).toMatchObject({ fullSize: false });
  });

  test.each(["jpg", "jpeg", "webp"])("full size as .%s, with the settings in EXIF", async (ending) => {
    const path = `full.${ending}`;
    await succeed(...request, "--full-size", "--output", path);
    const { width, height, exif } = await sharp(at(path)).metadata();
    expect([width, height]).toEqual([300, 200]);
    expect(exif!.toString("latin1")).toContain('"fullSize":true');
  });

  test("both sizes, or full size of nothing, are wrong usage", async () => {
    expect((await xprompt(...request, "--full-size", "--model-size", "--output", "x.png")).status).toBe(2);
    const none = await xprompt(
      ...["generate", ...tiny, "--instruction", "x", "--full-size", "--output", "x.png"],
    );
    expect([none.status, none.stderr]).toEqual([
      2,
      expect.stringContaining("--full-size: expected an --input"),
    ]);
  });
});

test("--one-pass takes one run of the model, and --no-one-pass many", async () => {
  const request = ["generate", ...tiny, ...pair, "--seed", "1"];
  const one = await json(...request, "--one-pass", "--output", "one.png");
  expect(one.steps).toEqual({ runs: 1, drafted: 0, accepted: 0 });
  expect(await settingsIn(at("one.png"))).toMatchObject({ onePass: true });
  const many = await json(...request, "--no-one-pass", "--output", "many.png");
  expect((many.steps as { runs: number }).runs).toBeGreaterThan(5);
  expect(await settingsIn(at("many.png"))).toMatchObject({ onePass: false });
});

test("--expected shows the mean codebook vector, of the codes that are sampled, and says so", async () => {
  const request = ["generate", ...tiny, ...pair, "--seed", "1"];
  const sampled = await json(...request, "--output", "sampled.png");
  const expected = await json(...request, "--expected", "--output", "expected.png");
  expect(expected.settings).toEqual({ ...(sampled.settings as object), expected: true });
  expect(await settingsIn(at("expected.png"))).toMatchObject({ expected: true });
  expect(await settingsIn(at("sampled.png"))).toMatchObject({ expected: false });
  const [one, other] = [await pixelsOf(at("sampled.png")), await pixelsOf(at("expected.png"))];
  expect([other.width, other.height]).toEqual([one.width, one.height]);
  expect(other.data).not.toEqual(one.data);
});

test("--no-draft samples one code per run: the same picture in more runs", async () => {
  const request = ["generate", ...tiny, ...pair, "--seed", "1", "--temperature", "0.1"];
  const drafted = await json(...request, "--output", "drafted.png");
  const sequential = await json(...request, "--no-draft", "--output", "sequential.png");
  expect((await pixelsOf(at("sequential.png"))).data).toEqual((await pixelsOf(at("drafted.png"))).data);
  const { runs } = sequential.steps as { runs: number };
  expect(sequential.steps).toEqual({ runs, drafted: 0, accepted: 0 });
  const { accepted, ...steps } = drafted.steps as { runs: number; drafted: number; accepted: number };
  expect(steps.runs + accepted).toBe(runs);
  expect(steps.drafted).toBeGreaterThan(0);
});

describe("samples", () => {
  test("each is a file of its own, and none of the name itself", async () => {
    const place = at("samples");
    await mkdir(place);
    const report = await json(
      "generate",
      ...tiny,
      ...pair,
      "--output",
      "samples/s.PNG",
      "--samples",
      "3",
      "--seed",
      "2",
    );
    const names = ["samples/s-1.PNG", "samples/s-2.PNG", "samples/s-3.PNG"];
    expect(report).toMatchObject({ output: names[0], outputs: names });
    expect((await readdir(place)).sort()).toEqual(["s-1.PNG", "s-2.PNG", "s-3.PNG"]);
    const pictures = await Promise.all(
      names.map(async (name) => (await pixelsOf(at(name))).data.toString("hex")),
    );
    expect(new Set(pictures).size).toBe(3);
    expect(await Promise.all(names.map(async (name) => (await settingsIn(at(name))).sample))).toEqual([
      0, 1, 2,
    ]);
  });
});

describe("made again from the text in the picture", () => {
  const weights = (guidance: unknown) =>
    typeof guidance === "object"
      ? Object.entries(guidance!)
          .map(([name, weight]) => `${name}=${weight}`)
          .join()
      : guidance;
  /** The command that a picture's settings say. */
  function commandOf(made: Record<string, unknown>, output: string): string[] {
    const value = (flag: string, setting: unknown) => (setting === undefined ? [] : [flag, String(setting)]);
    const list = (flag: string, paths: unknown) =>
      (paths as string[]).length > 0 ? [flag, ...(paths as string[])] : [];
    return [
      "generate",
      ...value("--model", made.model),
      ...value("--device", made.device),
      ...value("--threads", made.threads),
      ...list("--example", made.example),
      ...list("--prompt", made.prompt),
      ...value("--input", made.input),
      ...value("--instruction", made.instruction),
      ...value("--seed", made.seed),
      ...value("--samples", made.samples),
      ...value("--temperature", made.temperature),
      ...value("--top-k", made.topK),
      ...value("--top-p", made.topP),
      ...value("--guidance", weights(made.guidance)),
      made.expected ? "--expected" : "--no-expected",
      made.onePass ? "--one-pass" : "--no-one-pass",
      ...(made.exampleColours === false ? ["--no-example-colours"] : []),
      ...(made.draft === undefined ? [] : [made.draft ? "--draft" : "--no-draft"]),
      "--output",
      output,
    ];
  }

  test("with everything that can be set", async () => {
    await succeed("compress", ...tiny, "--example", "query.png", "before.png", "--output", "again.xprompt");
    const command = [
      ...["generate", "--model", "tiny", ...pair, "--prompt", "again.xprompt", "--input", "query.png"],
      ...["--instruction", 'make "it" → ☔', "--samples", "2", "--temperature", "0.8", "--top-k", "20"],
      ...["--top-p", "0.95", "--guidance", "image=1.5,examples=2.5", "--expected", "--output", "first.png"],
      ...["--no-example-colours", "--no-draft", "--threads", "1"],
    ];
    const report = await json(...command);
    const made = await settingsIn(at("first-2.png"));
    expect(made).toMatchObject({
      model: "tiny",
      fingerprint: report.model,
      seed: report.seed,
      sample: 1,
      samples: 2,
      instruction: 'make "it" → ☔',
      temperature: 0.8,
      topK: 20,
      topP: 0.95,
      guidance: { image: 1.5, examples: 2.5 },
      exampleColours: false,
      draft: false,
      device: "cpu",
      threads: 1,
      example: ["before.png", "after.png"],
      prompt: ["again.xprompt"],
      input: "query.png",
    });
    await succeed(...commandOf(made, "second.png"));
    for (const i of [1, 2])
      expect((await pixelsOf(at(`second-${i}.png`))).data).toEqual(
        (await pixelsOf(at(`first-${i}.png`))).data,
      );
  });

  test("of files their names, not the folders that they are in", async () => {
    await succeed(
      ...["generate", "--model", at("tiny"), "--threads", "1", "--output", "private.png"],
      ...["--example", at("before.png"), at("after.png"), "--input", at("query.png")],
    );
    const made = await settingsIn(at("private.png"));
    expect(made).toMatchObject({ model: "tiny", example: ["before.png", "after.png"], input: "query.png" });
    expect(JSON.stringify(made)).not.toContain(folder);
  });

  test("with nothing set but words: the seed is in it", async () => {
    await succeed("generate", ...tiny, "--instruction", "make it rain", "--output", "words.png");
    await succeed(...commandOf(await settingsIn(at("words.png")), "words-again.png"));
    expect(await readFile(at("words-again.png"))).toEqual(await readFile(at("words.png")));
  });
});

describe("outputs", () => {
  const request = ["generate", ...tiny, "--instruction", "make it rain", "--seed", "3"];

  test("a link stays one, and what it leads to is replaced", async () => {
    await writeFile(at("target.png"), "old");
    await symlink("target.png", at("link.png"));
    await succeed(...request, "--output", "link.png");
    expect(await readlink(at("link.png"))).toBe("target.png");
    expect((await lstat(at("target.png"))).isFile()).toBe(true);
    expect((await pixelsOf(at("target.png"))).width).toBe(32);
  });

  test("the last --output counts", async () => {
    await succeed(...request, "--output", "not-this.png", "--output", "but-this.png");
    expect(await readdir(folder)).toContain("but-this.png");
    expect(await readdir(folder)).not.toContain("not-this.png");
  });

  test("names and words of any kind", async () => {
    const place = at("зима ☃ 'n' \"so\"\n-- on");
    await mkdir(place);
    const output = join(place, "-1 ☔.png");
    await succeed(...request.slice(0, -2), "--output", output, "--seed", "1");
    expect(await readdir(place)).toEqual(["-1 ☔.png"]);
    const { stdout } = await succeed("inspect", output, "--json");
    expect(JSON.parse(stdout)).toMatchObject({ kind: "picture", seed: 1 });
  });

  test("an instruction that is too long for the model is drawn as far as it reads, and said so", async () => {
    const { stderr } = await succeed(
      ...["generate", ...tiny, ...pair, "--input", "query.png", "--output", "long.png"],
      ...["--instruction", "make it rain ".repeat(30)],
    );
    expect(stderr).toMatch(
      /note: the instruction is too long for the model: its last \d+ tokens were cut off/,
    );
    const short = await succeed("generate", ...tiny, "--instruction", "rain", "--output", "short.png");
    expect(short.stderr).not.toContain("note:");
  });
});

test("several prompts, and examples with them", async () => {
  await succeed(
    "compress",
    ...tiny,
    ...pair,
    "--example",
    "query.png",
    "after.png",
    "--output",
    "both.xprompt",
  );
  await succeed("compress", ...tiny, ...pair, "--output", "p1.xprompt");
  await succeed("compress", ...tiny, "--example", "query.png", "after.png", "--output", "p2.xprompt");
  const drawn = async (...shown: string[]) => {
    await succeed(
      "generate",
      ...tiny,
      ...shown,
      "--input",
      "query.png",
      "--seed",
      "5",
      "--output",
      "set.png",
    );
    return (await pixelsOf(at("set.png"))).data;
  };
  const expected = await drawn("--prompt", "both.xprompt");
  expect(await drawn("--prompt", "p1.xprompt", "p2.xprompt")).toEqual(expected);
  expect(await drawn("--prompt", "p2.xprompt", "--prompt", "p1.xprompt")).toEqual(expected);
  expect(await drawn("--prompt", "p2.xprompt", ...pair)).toEqual(expected);
  expect(await drawn("--prompt", "p1.xprompt")).not.toEqual(expected);
});

test("compress writes the same bytes for the same examples, others for other words", async () => {
  const bytes = async (...args: string[]) => {
    await succeed("compress", ...tiny, ...pair, ...args, "--output", "bytes.xprompt");
    return readFile(at("bytes.xprompt"));
  };
  const first = await bytes();
  expect(await bytes()).toEqual(first);
  expect(await bytes("--instruction", "make it rain")).not.toEqual(first);
});

test("help and version are on standard output, and succeed", async () => {
  for (const command of [[], ["generate"], ["compress"], ["train"], ["inspect"]]) {
    const { stdout, stderr } = await succeed(...command, "--help");
    expect(stdout).toContain(["Usage: xprompt", ...command].join(" "));
    expect(stderr).toBe("");
  }
  expect((await succeed("help", "generate")).stdout).toContain("--top-p");
  expect((await succeed("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([[["examples"]], [["data"]]])("%j: the help, as wrong usage", async (words) => {
  const { status, stdout, stderr } = await xprompt(...words);
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^Usage: xprompt/);
  expect(stderr).not.toContain("outputHelp");
});

test("the help of all commands has lines of at most 80 characters", async () => {
  const { stdout } = await succeed("--help");
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
});

test("without a command: the help, as wrong usage", async () => {
  const { status, stdout, stderr } = await xprompt();
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^Usage: xprompt/);
  for (const command of ["generate", "compress", "train", "inspect"]) expect(stderr).toContain(command);
});
