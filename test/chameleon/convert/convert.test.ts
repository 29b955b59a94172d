/** @file Conversions of whole folders: results, refusals, and resuming after an interruption. */
import { createHash } from "node:crypto";
import { existsSync, utimesSync } from "node:fs";
import {
  cp,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  statfs,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { readWeights } from "../../../src/chameleon/checkpoint/folder.ts";
import { isQuantizable, scaleName } from "../../../src/chameleon/checkpoint/quantize.ts";
import { openImageTokenizer } from "../../../src/chameleon/checkpoint/vqgan-checkpoint.ts";
import { type ConvertOptions, convertModel } from "../../../src/chameleon/convert/convert.ts";
import { formats } from "../../../src/chameleon/convert/plan.ts";
import { ImageTokenizer } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { UsageError, XPromptError } from "../../../src/errors.ts";
import { type Dtype, writeSafetensors } from "../../../src/runtime/safetensors.ts";
import { openWeights } from "../../../src/runtime/weights.ts";
import { XPrompt } from "../../../src/xprompt/model.ts";
import { headerOf, writeBigModel } from "../../fixtures/chameleon/big.ts";
import { dequantizeRows } from "../../fixtures/chameleon/kit.ts";
import { chameleonConfig, chameleonWeights, copyCheckpoint, reference } from "../../fixtures/vqgan/kit.ts";
import { writeTinyModel } from "../../fixtures/xprompt/kit.ts";

vi.mock("node:fs/promises", async (load) => {
  const files = await load<typeof import("node:fs/promises")>();
  return { ...files, statfs: vi.fn(files.statfs) };
});

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
let made = 0;
/** A new name. */
const fresh = () => at(`out-${made++}`);

const convert = (input: string, options: Partial<ConvertOptions> = {}) =>
  convertModel(at(input), { format: "int4", output: fresh(), threads: 0, ...options });

const weightsFile = (model: string) => join(model, "model.safetensors");
const sha256 = async (path: string) =>
  createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
const json = async (path: string) => JSON.parse(await readFile(path, "utf8"));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "convert-"));
  await writeTinyModel(at("tiny"));
  await writeFile(at("tiny", "preprocessor_config.json"), '{"size": 32, "crop_size": 32}');
  await writeFile(at("tiny", "notes.bin"), "left behind");
  await writeBigModel(at("big"), at("tiny"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each<Pick<ConvertOptions, "format" | "blockSize">>([
  ...formats.map((format) => ({ format })),
  { format: "int4", blockSize: 32 },
  { format: "int8", blockSize: 32 },
])("%o", ({ format, blockSize }) => {
  /** Numbers per block, as documented. */
  const block = blockSize ?? (format === "int4" ? 64 : 128);
  let output: string;
  let result: Awaited<ReturnType<typeof convertModel>>;
  beforeAll(async () => {
    output = fresh();
    result = await convert("tiny", { format, blockSize, output });
  });

  test("a folder like the input, with a checksum", async () => {
    expect(await readdir(output)).toEqual(
      ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"].sort(),
    );
    for (const name of ["preprocessor_config.json", "tokenizer.json"])
      expect(await readFile(join(output, name))).toEqual(await readFile(at("tiny", name)));
    const digest = await sha256(weightsFile(output));
    const bits = { none: undefined, float16: undefined, int8: 8, int4: 4 }[format];
    expect(await json(join(output, "config.json"))).toEqual({
      ...(await json(at("tiny", "config.json"))),
      weights_sha256: digest,
      ...(bits && { quantization_config: { quant_method: "xprompt", bits, block_size: block } }),
    });
    const size = async (model: string) => {
      const { dataStart, tensors } = await headerOf(weightsFile(model));
      return { dataStart, data: Math.max(...Object.values(tensors).map((each) => each.data_offsets[1])) };
    };
    const after = await size(output);
    const weights = await readWeights(at("tiny"), undefined);
    expect(result).toMatchObject({
      input: at("tiny"),
      output,
      format,
      parameters: [...weights.values()].reduce((sum, { data }) => sum + data.length, 0),
      bytes: { in: (await size(at("tiny"))).data, out: after.dataStart + after.data },
      sha256: digest,
    });
  });

  test("types and shapes of the contract, and the values", async () => {
    const [before, after] = [await openWeights(at("tiny")), await openWeights(output)];
    const quantized = (name: string) => format.startsWith("int") && isQuantizable(name);
    const bits = format === "int4" ? 4 : 8;
    let [error, power] = [0, 0];
    for (const [name, { shape }] of before.tensors) {
      const values = await before.readFloat32(name);
      const found = after.tensors.get(name)!;
      if (quantized(name)) {
        const [rows, columns] = shape as [number, number];
        const blocks = Math.ceil(columns / block);
        expect(found).toMatchObject({ dtype: "U8", shape: [rows, blocks, (block * bits) / 8] });
        expect(after.tensors.get(scaleName(name))).toMatchObject({ dtype: "F32", shape: [rows, blocks] });
        const { bytes: codes } = await after.read(name);
        const scales = await after.readFloat32(scaleName(name));
        const read = dequantizeRows({ codes, scales }, columns, { bits, blockSize: block });
        for (const [i, x] of values.entries()) {
          error += (x - read[i]!) ** 2;
          power += x ** 2;
        }
      } else {
        const small = /norm/.test(name) && !name.startsWith("model.vqmodel.");
        const dtype = format.startsWith("int") && small ? "F32" : "F16";
        expect(found, name).toMatchObject({ dtype, shape });
        expect(await after.readFloat32(name)).toEqual(values);
      }
    }
    const scales = [...before.tensors.keys()].filter(quantized).length;
    expect(after.tensors.size).toBe(before.tensors.size + scales);
    if (scales > 0) expect(Math.sqrt(error / power)).toBeLessThan(bits === 4 ? 0.105 : 0.006);
    await before.close();
    await after.close();
  });

  test("the result is a model that generates", async () => {
    const model = await XPrompt.load(output, { threads: 1 });
    const { codes } = await model.generate({ instruction: "make it rain", seed: 1 });
    expect(codes[0]).toHaveLength(16);
    await model.release();
  });

  test("data can be mapped: aligned to 64 bytes wherever their length allows it, and to their type", async () => {
    const { dataStart, tensors } = await headerOf(weightsFile(output));
    expect(dataStart % 64).toBe(0);
    const width = { U8: 1, F16: 2, F32: 4 } as Record<string, number>;
    for (const [name, { dtype, data_offsets: offsets }] of Object.entries(tensors)) {
      expect(offsets[0] % width[dtype]!, name).toBe(0);
      if ((offsets[1] - offsets[0]) % 64 === 0) expect(offsets[0] % 64, name).toBe(0);
    }
  });
});

describe("inputs", () => {
  /** The tiny model in other types and in shards. */
  async function rewrite(name: string, dtype: Dtype, shards: number): Promise<void> {
    const weights = await readWeights(at("tiny"), undefined);
    const tensors = [...weights].map(([key, { shape, data }]) => ({ name: key, dtype, shape, data }));
    await cp(at("tiny"), at(name), { recursive: true });
    await rm(weightsFile(at(name)));
    const { weights_sha256, ...config } = await json(at("tiny", "config.json"));
    await writeFile(at(name, "config.json"), JSON.stringify({ ...config, dtype: "bfloat16" }));
    const map: Record<string, string> = {};
    for (let i = 0; i < shards; i++) {
      const file = `model-${i + 1}-of-${shards}.safetensors`;
      const part = tensors.filter((_, index) => index % shards === i);
      await writeSafetensors(at(name, file), part);
      for (const each of part) map[each.name] = file;
    }
    const index = { metadata: {}, weight_map: map };
    await writeFile(at(name, "model.safetensors.index.json"), JSON.stringify(index));
  }

  test("shards of float32 give the file that one of float16 gives; the index is not copied", async () => {
    await rewrite("shards", "F32", 3);
    const [one, three] = [fresh(), fresh()];
    const { sha256 } = await convert("tiny", { format: "float16", output: one });
    expect(await convert("shards", { format: "float16", output: three })).toMatchObject({ sha256 });
    expect(await readFile(weightsFile(three))).toEqual(await readFile(weightsFile(one)));
    expect(await readdir(three)).toEqual(await readdir(one));
    expect(await json(join(three, "config.json"))).toMatchObject({ dtype: "float16" });
  });

  test("bfloat16 is widened exactly before anything else", async () => {
    await rewrite("brain", "BF16", 2);
    const output = fresh();
    await convert("brain", { format: "int8", output });
    const [before, after] = [await openWeights(at("brain")), await openWeights(output)];
    const name = "model.layers.0.self_attn.q_norm.weight";
    expect(await after.readFloat32(name)).toEqual(await before.readFloat32(name));
    await before.close();
    await after.close();
  });

  test("the page says what was done, below the settings on its top", async () => {
    await cp(at("tiny"), at("paged"), { recursive: true });
    await writeFile(at("paged", "README.md"), "---\nlicense: mit\n---\n# tiny\n");
    const { output } = await convert("paged", { blockSize: 64 });
    expect(await readFile(join(output, "README.md"), "utf8")).toMatch(
      /^---\nlicense: mit\n---\n> Made from `paged` by `xprompt convert`: its matrices are in 4 bits, in blocks of 64\. .*\n\n# tiny\n$/,
    );
  });

  test.each([
    ["no line end after its settings", "---\nlicense: mit\n---", "---\nlicense: mit\n---\n> Made"],
    ["a byte order mark", "\uFEFF---\nlicense: mit\n---\n# tiny\n", "\uFEFF---\nlicense: mit\n---\n> Made"],
    ["empty settings", "---\n---\n# tiny\n\n---\n\nmore\n", "---\n---\n> Made"],
    ["no settings", "# tiny\n", "> Made"],
  ])("a page with %s gets the note below the settings", async (_, page, start) => {
    const input = `paged-${made++}`;
    await cp(at("tiny"), at(input), { recursive: true });
    await writeFile(at(input, "README.md"), page);
    const { output } = await convert(input, { format: "none" });
    const written = await readFile(join(output, "README.md"), "utf8");
    expect(written.startsWith(start)).toBe(true);
    expect(written).toMatch(/its weights are in one file\./);
  });

  test("threads do not change the file", async () => {
    const [alone, helped] = [await convert("big"), await convert("big", { threads: 2 })];
    expect(helped.sha256).toBe(alone.sha256);
  });

  test("quantized weights can be copied, but not quantized again", async () => {
    const quantized = fresh();
    const { sha256, parameters } = await convert("tiny", { output: quantized });
    for (const format of ["int4", "int8", "float16"] as const)
      await expect(convertModel(quantized, { format, output: fresh(), threads: 0 })).rejects.toThrow(
        /expected weights that are not quantized, got 4-bit weights/,
      );
    const copy = await convertModel(quantized, { format: "none", output: fresh(), threads: 0 });
    expect(copy).toMatchObject({ sha256, parameters });
  });

  test("tensors that no Chameleon has are copied, and named", async () => {
    const weights = await openWeights(at("tiny"));
    await cp(at("tiny"), at("more"), { recursive: true });
    const { weights_sha256, ...config } = await json(at("tiny", "config.json"));
    await writeFile(at("more", "config.json"), JSON.stringify(config));
    const tensors = [];
    for (const name of weights.tensors.keys()) {
      const { dtype, shape, bytes } = await weights.read(name);
      tensors.push({ name, dtype, shape, data: bytes });
    }
    await weights.close();
    const extra = { name: "extra", dtype: "I64" as const, shape: [0, 2], data: new Uint8Array(0) };
    await writeSafetensors(weightsFile(at("more")), [...tensors, extra]);
    const [notes, output] = [[] as string[], fresh()];
    await convert("more", { output, onNote: (line) => notes.push(line) });
    expect(notes.join()).toMatch(/copied unchanged.*: extra$/);
    expect((await headerOf(weightsFile(output))).tensors.extra).toMatchObject({
      dtype: "I64",
      shape: [0, 2],
    });
  });
});

describe("the decoder of pictures, that published weights lack", () => {
  /** A language model with Hugging Face's half of the image tokenizer. */
  async function published(name: string): Promise<void> {
    await writeBigModel(at(name), at("tiny"), 64);
    const config = { ...(await json(at(name, "config.json"))), vq_config: chameleonConfig.vq_config };
    await writeFile(at(name, "config.json"), JSON.stringify(config));
    const decoder = await readWeights(at(name), undefined);
    const half = [...(await chameleonWeights())].map(
      ([key, weight]) => [`model.vqmodel.${key}`, weight] as const,
    );
    const tensors = [...decoder, ...half].map(([key, { shape, data }]) => ({
      name: key,
      dtype: "F32" as const,
      shape,
      data,
    }));
    await writeSafetensors(weightsFile(at(name)), tensors);
  }

  test.each(["none", "int4"] as const)(
    "%s: found in the folder or named, it becomes a part",
    async (format) => {
      await published("published");
      const alone = fresh();
      await convert("published", { format, output: alone });
      const has = async (model: string) =>
        "model.vqmodel.decoder.conv_in.weight" in (await headerOf(weightsFile(model))).tensors;
      expect(await has(alone)).toBe(false);
      const ckpt = await copyCheckpoint(at(`meta-${format}`, "vqgan.ckpt"));
      const [named, found] = [fresh(), fresh()];
      const { sha256 } = await convert("published", { format, output: named, imageTokenizer: ckpt });
      await copyCheckpoint(at("published", "vqgan.ckpt"));
      expect(await convert("published", { format, output: found })).toMatchObject({ sha256 });
      expect(await has(found)).toBe(true);
      await rm(at("published"), { recursive: true });
      const { config, weights } = await openImageTokenizer(named);
      const tokenizer = new ImageTokenizer(config, weights, { threads: 1 });
      const { codes, decoded } = reference.meta;
      for (const [n, { data }] of (await tokenizer.decode(codes)).entries())
        for (const [i, value] of data.entries()) {
          const wanted = (decoded[(n * 3 + (i % 3)) * 256 + Math.floor(i / 3)]! + 1) / 2;
          const allowed = format === "none" ? 1e-5 : 0.01;
          expect(Math.abs(value - Math.min(1, Math.max(0, wanted)))).toBeLessThan(allowed);
        }
      await tokenizer.release();
    },
  );

  test("is not put beside another one", async () => {
    const ckpt = await copyCheckpoint(at("meta", "vqgan.ckpt"));
    await expect(convert("tiny", { imageTokenizer: ckpt })).rejects.toThrow(
      /expected weights without a picture decoder/,
    );
  });
});

describe("refused, with nothing written", () => {
  let broken: string;
  const place = (name: string) => join(broken, name);
  beforeEach(async () => {
    broken = fresh();
    await cp(at("tiny"), broken, { recursive: true });
  });
  const patch = async (change: object) =>
    writeFile(place("config.json"), JSON.stringify({ ...(await json(place("config.json"))), ...change }));

  async function refused(says: RegExp, options: Partial<ConvertOptions> = {}): Promise<void> {
    const output = fresh();
    const before = await readdir(folder, { recursive: true });
    const error = await convertModel(broken, { format: "int4", output, threads: 0, ...options }).then(
      () => expect.fail("expected it to be refused"),
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(XPromptError);
    expect((error as Error).message).toMatch(says);
    expect(await readdir(folder, { recursive: true })).toEqual(before);
  }

  test("no folder, no weights, no tokenizer", async () => {
    await rm(place("tokenizer.json"));
    await refused(/tokenizer\.json: expected it to exist/);
    await rm(weightsFile(broken));
    await cp(at("tiny", "tokenizer.json"), place("tokenizer.json"));
    await refused(/expected model\.safetensors or model\.safetensors\.index\.json/);
    await rm(broken, { recursive: true });
    await refused(/config\.json: expected it to exist/);
  });

  test("a file that is cut off, a missing shard", async () => {
    await truncate(weightsFile(broken), 30_000);
    await refused(/model\.safetensors: expected a file of .* cut off/);
    await rm(weightsFile(broken));
    const index = { weight_map: { "lm_head.weight": "model-1-of-1.safetensors" } };
    await writeFile(place("model.safetensors.index.json"), JSON.stringify(index));
    await refused(/model-1-of-1\.safetensors: expected it to exist/);
  });

  test("weights that are not those of the checksum", async () => {
    const file = await open(weightsFile(broken), "r+");
    await file.write(Buffer.of(7), 0, 1, 30_000);
    await file.close();
    await refused(/expected the checksum in config\.json/);
  });

  test.each<[string, object, RegExp]>([
    ["another width", { intermediate_size: 21 }, /down_proj\.weight: expected \[24, 21\].*got \[24, 20\]/],
    ["more layers", { num_hidden_layers: 3 }, /expected a tensor model\.layers\.2\.\S+, got none/],
    ["very many layers", { num_hidden_layers: 1000 }, /expected weights of 1001 layers/],
    ["sizes that do not divide", { num_attention_heads: 5 }, /hidden_size that divides/],
    ["another method", { quantization_config: { quant_method: "gptq", bits: 4 } }, /got "gptq"/],
    ["another kind of model", { model_type: "llama" }, /model_type/],
  ])("%s", async (_name, change, says) => {
    await patch(change);
    await refused(says);
  });

  test("a number that no model can use, or that the format cannot hold", async () => {
    const weights = await readWeights(at("tiny"), undefined);
    const { weights_sha256, ...config } = await json(at("tiny", "config.json"));
    await writeFile(place("config.json"), JSON.stringify(config));
    for (const [name, bad, format, says] of [
      ["model.embed_tokens.weight", 70_000, "float16", /embed_tokens\.weight: .*float16 holds.*got 70144/],
      ["lm_head.weight", Number.NaN, "int4", /lm_head\.weight: expected finite numbers/],
      ["model.norm.weight", -Infinity, "int8", /model\.norm\.weight: expected finite numbers, got -Infinity/],
      ["lm_head.weight", Number.NaN, "none", /lm_head\.weight: expected finite numbers, got NaN/],
    ] as const) {
      const tensors = [...weights].map(([key, { shape, data }]) => {
        const values = data.slice();
        if (key === name) values[5] = bad;
        return { name: key, dtype: "BF16" as const, shape, data: values };
      });
      await writeSafetensors(weightsFile(broken), tensors);
      await refused(says, { format });
    }
  });

  test("an output that is the input, holds it, or is something else", async () => {
    await expect(convertModel(broken, { format: "int4", output: broken, threads: 0 })).rejects.toThrow(
      UsageError,
    );
    await refused(/expected another folder than the input's/, { output: folder });
    await mkdir(at("album"), { recursive: true });
    await writeFile(at("album", "photo.jpg"), "");
    await refused(/got a folder that contains photo\.jpg/, { output: at("album") });
    await writeFile(weightsFile(at("album")), "");
    await writeFile(join(at("album"), "config.json"), "{}");
    await refused(/got a folder that contains photo\.jpg/, { output: at("album") });
    await rename(at("album", "photo.jpg"), at("album", "thesis.md"));
    await refused(/got a folder that contains thesis\.md/, { output: at("album") });
    await refused(/expected a folder or nothing, got a file/, { output: at("album", "thesis.md") });
    await refused(/expected a folder to put it in, got none/, { output: at("nowhere", "out") });
    if (process.platform === "linux") await refused(/got a mount point/, { output: "/proc" });
  });

  test("more than the disk has room for", async () => {
    const disk = await statfs(folder);
    vi.mocked(statfs).mockResolvedValueOnce({ ...disk, bavail: 1000, bsize: 1 });
    await refused(/expected [\d.]+ KiB free on the disk, got 1000 B/, { format: "none" });
  });
});

describe("interrupted", () => {
  let whole: string;
  let digest: string;
  const options = { format: "float16" as const, threads: 0 };
  beforeAll(async () => {
    whole = fresh();
    ({ sha256: digest } = await convertModel(at("big"), { ...options, output: whole }));
  });

  /** Converts until some tensors are safely on disk; returns the working folder. */
  async function interrupt(output: string): Promise<string> {
    const stop = new AbortController();
    const onProgress: ConvertOptions["onProgress"] = (phase, done) => {
      if (phase === "converting" && done > 0) stop.abort(new Error("stopped"));
    };
    const run = convertModel(at("big"), { ...options, output, signal: stop.signal, onProgress });
    await expect(run).rejects.toThrow("stopped");
    expect(existsSync(output)).toBe(false);
    const place = join(output, "..", `.${output.split("/").at(-1)}.converting`);
    expect(await readdir(place)).toEqual(["folder", "journal.jsonl"]);
    return place;
  }

  /** Completes a conversion, and checks that the bytes are the same and nothing else is left. */
  async function finish(output: string, input = at("big")): Promise<{ notes: string[]; from: number }> {
    const notes: string[] = [];
    const progress: number[] = [];
    const made = await convertModel(input, {
      ...options,
      output,
      onNote: (line) => notes.push(line),
      onProgress: (phase, done) => phase === "converting" && progress.push(done),
    });
    expect(made.sha256).toBe(digest);
    expect((await readFile(weightsFile(output))).equals(await readFile(weightsFile(whole)))).toBe(true);
    expect((await readdir(folder)).filter((name) => name.endsWith(".converting"))).toEqual([]);
    return { notes, from: progress[0]! };
  }

  test("continues where it stopped, with the same result", async () => {
    const output = fresh();
    await interrupt(output);
    const { notes, from } = await finish(output);
    expect(notes.join()).toMatch(/continuing an interrupted conversion: [1-9]\d* of \d+ tensors/);
    expect(from).toBeGreaterThan(4 * 2 ** 20);
  });

  test("a line that was cut off while it was written does no harm", async () => {
    const output = fresh();
    const place = await interrupt(output);
    const path = join(place, "journal.jsonl");
    await writeFile(path, `${(await readFile(path, "utf8")).trimEnd()}\n{"source":"lm_h`);
    await finish(output);
  });

  test("data lost by the disk is detected by reading the file back, and written again", async () => {
    const output = fresh();
    const place = await interrupt(output);
    const file = await open(weightsFile(join(place, "folder")), "r+");
    const journal = await readFile(join(place, "journal.jsonl"), "utf8");
    const done = Object.keys(JSON.parse(journal.trimEnd().split("\n").at(-1)!).sha256)[0]!;
    const { dataStart, tensors } = await headerOf(weightsFile(whole));
    await file.write(Buffer.of(1, 2, 3, 4), 0, 4, dataStart + tensors[done]!.data_offsets[0]);
    await file.close();
    const damaged = convertModel(at("big"), { ...options, output });
    await expect(damaged).rejects.toThrow(`${done} is not what was written`);
    expect(existsSync(output)).toBe(false);
    // What the journal said is forgotten for good, also where the next attempt is cut off before its first tensor.
    const signal = AbortSignal.abort(new Error("stop"));
    await expect(convertModel(at("big"), { ...options, output, signal })).rejects.toThrow("stop");
    expect(
      (await readFile(join(place, "journal.jsonl"), "utf8").catch(() => "")).trim().split("\n"),
    ).toHaveLength(1);
    await finish(output);
  });

  test("another input, or another format, starts anew", async () => {
    const output = fresh();
    await interrupt(output);
    await writeFile(at("big", "config.json"), JSON.stringify(await json(at("big", "config.json")), null, 1));
    utimesSync(weightsFile(at("big")), 1e9, 1e9);
    const { notes, from } = await finish(output);
    expect(notes.join()).toMatch(/found an unfinished conversion of another input: starting again/);
    expect(from).toBe(0);
    const second = fresh();
    await interrupt(second);
    const said: string[] = [];
    await convert("big", { output: second, format: "none", onNote: (line) => said.push(line) });
    expect(said.join()).toMatch(/an unfinished conversion of other settings/);
  });

  test("an input that changes meanwhile is not made a model of", async () => {
    const output = fresh();
    const onProgress = (phase: string) => {
      if (phase === "verifying") utimesSync(weightsFile(at("big")), 2e9, 2e9);
    };
    const run = convertModel(at("big"), { ...options, output, onProgress });
    await expect(run).rejects.toThrow(/expected its files to stay the same/);
    expect(existsSync(output)).toBe(false);
  });

  test("two at once into one folder: the second is refused", async () => {
    const output = fresh();
    let second: Promise<unknown> | undefined;
    const onProgress = () => {
      second ??= expect(convertModel(at("big"), { ...options, output })).rejects.toThrow(
        /no other conversion/,
      );
    };
    await convertModel(at("big"), { ...options, output, onProgress });
    await second;
    expect(await sha256(weightsFile(output))).toBe(digest);
  });

  test("an older model gives way to a newer one", async () => {
    const output = fresh();
    await convert("tiny", { output });
    await finish(output);
  });
});
