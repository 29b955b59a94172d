/** @file What goes wrong: the exit status, one clear line, and nothing written. */
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { makeChunk, makeHeader, pngSignature } from "../image/png-parts.ts";
import { bin, expectOneLine, repository, start, workplace } from "./kit.ts";

const { folder, at, xprompt, succeed, refused } = await workplace();
const drawn = { afterProgress: true };
const pair = ["--example", "before.png", "after.png"];
const tiny = ["--model", "tiny", "--threads", "1"];
const output = ["--output", "out.png"];
/** A request that is right, to be spoilt by what follows it: the last of an option counts. */
const right = ["generate", ...tiny, ...pair, "--input", "query.png", "--seed", "1", ...output];
/** The same request for another input. */
const rightBut = (input: string) => right.map((each) => (each === "query.png" ? input : each));

const makePng = (width: number, height: number) =>
  Buffer.concat([
    pngSignature,
    makeHeader(width, height),
    makeChunk("IDAT", deflateSync(Buffer.alloc((3 * width + 1) * Math.min(height, 100)))),
    makeChunk("IEND", Buffer.alloc(0)),
  ]);

beforeAll(async () => {
  await writeFile(at("text.png"), "This is not a picture.\n");
  await writeFile(at("empty.png"), "");
  await writeFile(at("dot.png"), makePng(1, 1));
  await writeFile(at("bomb.png"), makePng(50_000, 50_000));
  const query = await readFile(at("query.png"));
  await writeFile(at("cut.png"), query.subarray(0, query.length >> 1));
  await writeFile(at("drawing.svg"), '<svg xmlns="http://www.w3.org/2000/svg"/>');
  await mkdir(at("folder"));
  await mkdir(at("folder.png"));
  await succeed("compress", ...tiny, ...pair, "--output", "tiny.xprompt");
  await succeed("compress", ...pair, "--output", "nano.xprompt");
  const prompt = await readFile(at("tiny.xprompt"));
  await writeFile(at("cut.xprompt"), prompt.subarray(0, -10));
  prompt[prompt.length - 10]! ^= 4;
  await writeFile(at("bit.xprompt"), prompt);
});

test("the request that is spoilt below is right", async () => {
  await succeed(...right);
  await rm(at("out.png"));
});

describe("pictures", () => {
  test.each<[string, RegExp]>([
    ["missing.png", /reading image missing\.png: .*no such file/],
    ["text.png", /text\.png: expected a PNG, JPEG or WebP image/],
    ["empty.png", /empty\.png: .*an empty file/],
    ["dot.png", /dot\.png: expected at least 8 × 8 pixels, got 1 × 1/],
    ["bomb.png", /bomb\.png: expected at most 64 megapixels, got 50000 × 50000/],
    ["cut.png", /cut\.png: expected a complete image/],
    ["drawing.svg", /drawing\.svg: .*got SVG/],
    ["folder", /--input folder: expected a folder with pictures/],
    ["/dev/zero", /\/dev\/zero: expected a file/],
    ["", /reading image/],
    ["no\nsuch\x1b[31m.png", /no such�\[31m\.png/],
  ])("--input %j", async (name, says) => {
    await refused(() => xprompt(...rightBut(name)), 1, says);
  });

  test("in an example, for compress as for generate", async () => {
    const shown = ["--example", "before.png", "text.png"];
    await refused(() => xprompt("generate", ...tiny, ...shown, ...output), 1, "text.png");
    await refused(() => xprompt("compress", ...tiny, ...shown, "--output", "p.xprompt"), 1, "text.png");
  });

  test("a name that is no UTF-8", async () => {
    const script = `exec "$0" "$1" generate --model tiny --input $'\\xff.png' --instruction x --output out.png`;
    await writeFile(at("is-not-utf8.txt"), "");
    const work = () => start("bash", ["-c", script, process.execPath, bin], { cwd: folder }).ended;
    await refused(work, 2, "expected names and words in UTF-8, got �.png (rename the file)");
  });
});

describe("usage", () => {
  test.each<[string, string[], RegExp]>([
    ["an unknown command", ["generat"], /unknown command 'generat'.*generate/],
    ["an unknown option", [...right, "--temprature", "1"], /unknown option '--temprature'.*--temperature/],
    ["an argument too many", [...right.slice(0, 1), "out.png", ...right.slice(1)], /argument/],
    ["no --output", ["generate", ...tiny, ...pair], /--output/],
    ["no value", ["generate", ...tiny, ...pair, "--output"], /--output.*argument missing/],
    [
      "nothing to do",
      ["generate", ...tiny, "--input", "query.png", ...output],
      /expected --example, --prompt or --instruction/,
    ],
    [
      "empty words",
      ["generate", ...tiny, "--instruction", " ", ...output],
      /expected --example, --prompt or --instruction/,
    ],
    [
      "half an example",
      ["generate", ...tiny, "--example", "before.png", ...output],
      /--example: expected two pictures/,
    ],
    [
      "an odd number of pictures",
      [...right, "--example", "query.png"],
      /--example: expected two pictures.*got 3/,
    ],
    [
      "an option where an example's pictures should be",
      ["describe", "--example", "--threads", "1"],
      /--example: expected a value, got --threads/,
    ],
    ["no example to compress", ["compress", ...tiny, "--output", "p.xprompt"], /at least one --example/],
    [
      "an output that is no PNG",
      [...right, "--output", "out.gif"],
      /--output: expected a name that ends in \.png, \.jpg, \.jpeg, \.webp, got out\.gif/,
    ],
    ["an output without ending", [...right, "--output", "out"], /ends in \.png/],
    [
      "a prompt that is no .xprompt",
      ["compress", ...tiny, ...pair, "--output", "p.png"],
      /ends in \.xprompt/,
    ],
    [
      "a seed in letters",
      [...right, "--seed", "seven"],
      /--seed: expected a whole number from 0, got "seven"/,
    ],
    ["a seed with a fraction", [...right, "--seed", "1.5"], /--seed: .*got "1\.5"/],
    ["a seed below 0", [...right, "--seed", "-1"], /--seed: .*got "-1"/],
    [
      "a seed beyond the whole numbers",
      [...right, "--seed", "99999999999999999999"],
      /--seed: .*got "9{20}"/,
    ],
    ["an empty seed", [...right, "--seed", ""], /--seed: .*got ""/],
    [
      "a temperature below 0",
      [...right, "--temperature", "-1"],
      /--temperature: expected a number from 0 to 100/,
    ],
    ["a temperature that is none", [...right, "--temperature", "NaN"], /--temperature: /],
    ["a temperature without end", [...right, "--temperature", "Infinity"], /--temperature: /],
    ["no samples", [...right, "--samples", "0"], /--samples: expected a whole number from 1 to 64/],
    ["a billion samples", [...right, "--samples", "1e9"], /--samples: .*got "1e9"/],
    ["half a code", [...right, "--top-k", "0.5"], /--top-k: /],
    ["no share", [...right, "--top-p", "0"], /--top-p: expected a number above 0/],
    ["more than all", [...right, "--top-p", "2"], /--top-p: expected a number above 0, up to 1/],
    [
      "a share in an evaluation",
      ["eval", "seen", ...tiny, "--top-p", "2"],
      /--top-p: expected a number above 0, up to 1, got "2"/,
    ],
    ["guidance below 0", [...right, "--guidance", "-3"], /--guidance: /],
    ["guidance of one condition below 0", [...right, "--guidance", "image=2,examples=-1"], /--guidance: /],
    [
      "guidance of an unknown condition",
      [...right, "--guidance", "imgae=2"],
      /--guidance: expected .*image=2,text=3, got "imgae=2"/,
    ],
    ["guidance told twice", [...right, "--guidance", "image=2,image=3"], /--guidance: /],
    ["guidance without a number", [...right, "--guidance", "image="], /--guidance: /],
    ["threads below 0", [...right, "--threads", "-2"], /--threads: /],
    ["a billion threads", [...right, "--threads", "1e9"], /--threads: /],
    ["an unknown device", [...right, "--device", "tpu"], /--device.*cpu, webgpu, cuda/],
    [
      "a misspelt option, another missing",
      ["generate", "--exmaple", "a", "b"],
      /unknown option '--exmaple' \(did you mean "--example"\?\) \(see xprompt generate --help\)/,
    ],
    [
      "library options without one",
      [...right, "--k", "5"],
      /generate: expected --k with --library, got it alone/,
    ],
    [
      "a recipe to compare without its name",
      ["eval", "unseen", "--recipe", "r.ts"],
      /expected --recipe with --as, got it alone/,
    ],
    [
      "a priority without workers",
      ["eval", "seen", "--priority", "3"],
      /--priority: expected it with --redis, got it alone/,
    ],
    [
      "a worker for captions and nothing to caption with",
      ["worker", "--redis", "redis://127.0.0.1:1", "--kinds", "generate", "caption"],
      /expected --server and --caption-model for caption jobs/,
    ],
    [
      "a worker that could take no job",
      ["worker", "--redis", "redis://127.0.0.1:1", "--kinds", "caption", "tokenize", "--tokens", "t"],
      /expected --server and --caption-model for caption jobs/,
    ],
    [
      "a picture that would replace an input",
      [
        "complete",
        "--model",
        "tiny",
        "--image",
        "folder/picture-1.png",
        "--mode",
        "interleaved",
        "--output",
        "folder/picture.png",
      ],
      /expected a place where no picture replaces an input/,
    ],
    [
      "a suite that does not exist",
      ["eval", "unsen"],
      /suite: expected one of .*, got "unsen" \(did you mean "unseen"\?\)/,
    ],
    ["a folder of CLIP without a library", [...right, "--clip", "none"], /expected --clip with --library/],
    [
      "no name of a model",
      [...right, "--model", ""],
      /expected the name or the folder of a model, got an empty/,
    ],
    [
      "a library without anything to look for",
      ["generate", "--model", "tiny", "--library", "l", "--output", "out.png"],
      /expected --input or --instruction with --library/,
    ],
    ["nothing to inspect", ["inspect"], /missing required argument 'what'/],
    ["no recipe", ["train"], /missing required argument 'recipe'/],
    [
      "a run in place of a file",
      ["train", join(repository, "recipes", "nano-tokenizer.ts"), "--out", "text.png"],
      /training into text\.png: expected a folder, got a file/,
    ],
    ["settings before the recipe", ["train", "--steps=3", "recipe.ts"], /recipe first/],
  ])("%s", async (_name, args, says) => {
    await refused(() => xprompt(...args), 2, says);
  });

  test("as JSON too: one line on standard error, nothing on standard output", async () => {
    await refused(() => xprompt(...right, "--samples", "0", "--json"), 2, "--samples");
    await refused(() => xprompt(...rightBut("missing.png"), "--json"), 1, "missing.png");
    await refused(() => xprompt("inspect", "missing", "--json"), 1, "missing");
    await refused(() => xprompt("inspect", "folder"), 1, "expected a model, run or library folder");
  });

  test("a command line that is too long", async () => {
    const says = "expected a command line of at most 20000 bytes";
    await refused(() => xprompt(...right, "--instruction", "x".repeat(120_000)), 2, says);
    await refused(() => xprompt(...right, "--example", ...Array(2000).fill("before.png")), 2, says);
    await succeed(...right, "--instruction", "x".repeat(19_500));
    await rm(at("out.png"));
  });
});

describe("outputs", () => {
  test.each<[string, 1 | 2, RegExp]>([
    ["missing/out.png", 1, /--output missing\/out\.png: expected a writable folder/],
    ["query.png/out.png", 1, /--output query\.png\/out\.png: /],
    [`${"x".repeat(300)}.png`, 1, /--output x+\.png: .*ENAMETOOLONG/],
    ["folder.png", 1, /--output folder\.png: expected a file, got a folder/],
    ["query.png", 2, /--output query\.png: expected a file that is not an input/],
    ["./folder/../after.png", 2, /expected a file that is not an input/],
  ])("--output %s", async (name, status, says) => {
    await refused(() => xprompt(...right, "--output", name), status, says);
  });

  test("a link to a picture that is read", async () => {
    await symlink("query.png", at("link.png"));
    await refused(() => xprompt(...right, "--output", "link.png"), 2, "expected a file that is not an input");
    await refused(
      () => xprompt(...rightBut("link.png"), "--output", "query.png"),
      2,
      "expected a file that is not an input",
    );
  });

  test("one of several samples that can not be written", async () => {
    await mkdir(at("s-2.png"));
    await refused(() => xprompt(...right, "--samples", "3", "--output", "s.png"), 1, "--output s-2.png");
  });

  /** Root may write anywhere: without its capabilities it is a user like others. */
  const asUser = (...args: string[]) => {
    const command = [process.execPath, bin, ...args];
    const root = process.getuid?.() === 0;
    const [first, ...rest] = root
      ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all", ...command]
      : command;
    return start(first!, rest, { cwd: folder }).ended;
  };
  test("a folder that is read-only", async () => {
    await mkdir(at("locked"));
    await chmod(at("locked"), 0o555);
    await refused(() => asUser(...right, "--output", "locked/out.png"), 1, /locked\/out\.png.*EACCES/);
    await chmod(at("locked"), 0o755);
  });

  test("a picture that may not be read", async () => {
    await cp(at("query.png"), at("private.png"));
    await chmod(at("private.png"), 0o000);
    await refused(() => asUser(...rightBut("private.png")), 1, /private\.png: .*permission denied/);
    await chmod(at("private.png"), 0o644);
  });

  // The shell counts in KiB: a limit on a file's size fails a write as a full disk does.
  const onFullDisk = (...args: string[]) =>
    start("bash", ["-c", 'ulimit -f 1; exec "$@"', "bash", process.execPath, bin, ...args], { cwd: folder })
      .ended;
  test("a disk that takes no more", async () => {
    await refused(() => onFullDisk(...right), 1, /writing out\.png: expected a disk that supports/, drawn);
    await refused(() => onFullDisk(...right, "--samples", "3"), 1, /writing out-1\.png/, drawn);
    await refused(
      () => onFullDisk("compress", ...tiny, ...pair, "--output", "full.xprompt"),
      1,
      "full.xprompt",
    );
  });

  test("a disk that takes no more leaves the former picture", async () => {
    await writeFile(at("former.png"), "former");
    await refused(() => onFullDisk(...right, "--output", "former.png"), 1, "former.png", drawn);
    expect(await readFile(at("former.png"), "utf8")).toBe("former");
  });

  const through = async (script: string, ...args: string[]) =>
    start("bash", ["-c", script, "bash", process.execPath, bin, ...args], { cwd: folder }).ended;
  test("a standard output that is full", async () => {
    const { status, stderr } = await through('exec "$@" >/dev/full', "inspect", "tiny");
    expect(status).toBe(1);
    expectOneLine(stderr, /writing to standard output: ENOSPC/);
  });

  test.each([
    ["inspect", ["inspect", "tiny"]],
    ["inspect --json", ["inspect", "tiny", "--json"]],
    ["--help", ["generate", "--help"]],
    ["a request", ["generate", ...tiny, ...pair, "--seed", "1", "--output", "piped.png", "--json"]],
  ])("a reader that goes away: %s", async (_name, args) => {
    const { status, stderr } = await through('set -o pipefail; "$@" | head -c 0', ...args);
    expect(status, stderr).toBe(0);
    expect(stderr.replace(/^generating: .*\n/gm, "")).toBe("");
  });

  test("a reader of standard error that goes away", async () => {
    await rm(at("piped.png"), { force: true });
    const { status } = await through('set -o pipefail; "$@" 2>&1 >/dev/null | head -c 0', ...right);
    expect(status).toBe(0);
    expect(existsSync(at("out.png"))).toBe(true);
    await rm(at("out.png"));
  });
});

describe("prompts", () => {
  test.each<[string, RegExp]>([
    ["nano.xprompt", /expected a prompt of this model .*compress the examples again/],
    ["cut.xprompt", /cut\.xprompt: .*cut off/],
    ["bit.xprompt", /bit\.xprompt: .*damaged/],
    ["missing.xprompt", /missing\.xprompt: .*no such file/],
    ["query.png", /query\.png: /],
    ["tiny/model.safetensors", /got another safetensors file/],
  ])("%s", async (name, says) => {
    await refused(() => xprompt("generate", ...tiny, "--prompt", name, ...output), 1, says);
  });

  test("of two models", async () => {
    const prompts = ["--prompt", "tiny.xprompt", "nano.xprompt"];
    await refused(() => xprompt("generate", ...tiny, ...prompts, ...output), 1, "prompts of one model");
  });
});

describe("models", () => {
  const draw = (model: string) => xprompt("generate", "--model", model, "--instruction", "x", ...output);

  test("one that is not there", async () => {
    await refused(
      () => draw("mega"),
      1,
      "loading model mega: expected a model folder or a shipped model (nano)",
    );
    await refused(() => draw("query.png"), 1, "loading model query.png");
    await refused(() => draw("folder"), 1, "config.json");
  });

  test("the shipped one, damaged", async () => {
    await cp(join(repository, "models", "nano"), at("damaged"), { recursive: true });
    for (const name of ["model.safetensors", "config.json", "tokenizer.json"]) {
      const place = at("damaged", name);
      await rename(place, at("whole"));
      await refused(() => draw("damaged"), 1, name);

      await cp(at("whole"), place);
      const { length } = await readFile(place);
      await truncate(place, length >> 1);
      await refused(() => draw("damaged"), 1, name);

      const bytes = await readFile(at("whole"));
      // In text, the bit that makes a quote, a bracket or a letter something else.
      bytes[name === "model.safetensors" ? length - 1000 : bytes.indexOf('"')]! ^= 1;
      await writeFile(place, bytes);
      await refused(() => draw("damaged"), 1, name);
      await rename(at("whole"), place);
    }
    await rm(at("damaged"), { recursive: true });
  });

  test("a configuration of another model", async () => {
    await cp(at("tiny"), at("mixed"), { recursive: true });
    const config = JSON.parse(await readFile(at("mixed", "config.json"), "utf8"));
    for (const [key, value, says] of [
      ["num_hidden_layers", 3, /layers\.2.*got none/],
      ["hidden_size", 48, /belong to different models/],
      ["max_position_embeddings", 60, /max_position_embeddings/],
      ["vocab_size", 5, /tokenizer\.json/],
      ["model_type", "llama", /model_type/],
    ] as const) {
      await writeFile(at("mixed", "config.json"), JSON.stringify({ ...config, [key]: value }));
      await refused(() => draw("mixed"), 1, says);
    }
  });
});

describe("devices", () => {
  const onnxruntime = dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  const cuda = join(
    onnxruntime,
    "bin/napi-v6",
    process.platform,
    process.arch,
    "libonnxruntime_providers_cuda.so",
  );

  test.skipIf(existsSync(cuda))("cuda without its libraries", async () => {
    await refused(() => xprompt(...right, "--device", "cuda"), 1, /device cuda: .*not installed/);
  });

  test("webgpu without an adapter", async () => {
    // Where there is one, the loader finds none this way.
    const env = { ...process.env, VK_DRIVER_FILES: "/dev/null", VK_ICD_FILENAMES: "/dev/null" };
    const args = [bin, ...right, "--device", "webgpu"];
    const { status, stdout, stderr } = await start(process.execPath, args, { cwd: folder, env }).ended;
    expect([status, stdout]).toEqual([1, ""]);
    // Where a Vulkan loader is installed, the provider itself warns before it gives up.
    const [last, ...before] = stderr.trimEnd().split("\n").reverse();
    expect(last).toMatch(/^xprompt: device webgpu: not available here: .*use --device cpu/);
    for (const line of before) expect(line).toMatch(/^(Warning: |\s+at |$)/);
    expect(existsSync(at("out.png"))).toBe(false);
  });
});

describe("an option without its value", () => {
  test.each<[string, string[], string]>([
    ["eval", ["describe", "--limit", "1", "--out", "--json"], "--out: expected a value, got --json"],
    ["examples", ["list", "--library", "--json"], "--library: expected a value, got --json"],
    [
      "generate",
      ["--instruction", "x", "--input", "--output", "x.png"],
      "--input: expected a value, got --output",
    ],
  ])("of %s does not take the next option for it", async (command, args, says) => {
    await refused(() => xprompt(command, ...args), 2, says);
  });

  test("a value may look like an option that the command has not", async () => {
    const outcome = await xprompt(
      "generate",
      "--model",
      "nowhere",
      "--instruction",
      "--brighter",
      "--output",
      "x.png",
    );
    expect(outcome.stderr).toContain("loading model nowhere");
  });
});

describe("help", () => {
  test("of a nested command", async () => {
    const { stdout, status } = await xprompt("help", "examples", "add");
    expect(status).toBe(0);
    expect(stdout).toContain("Usage: xprompt examples add");
  });

  test.each([
    ["generat", "--help"],
    ["help", "generat"],
  ])("%s %s: there is no such command", async (...args) => {
    const { stderr, status } = await xprompt(...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(/unknown command 'generat'.*did you mean "?generate/is);
  });
});
