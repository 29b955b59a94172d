/** @file `xprompt init`, as a function and as a process: the changes in the folder, and no others. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Chameleon } from "../../src/chameleon/chameleon.ts";
import { vqConfigSchema, vqganFromJson, vqganToJson } from "../../src/chameleon/checkpoint/config.ts";
import { decoderParameters, imageTokenizerParameters } from "../../src/chameleon/model/parameters.ts";
import { TextTokenizer } from "../../src/chameleon/tokenizers/text-tokenizer.ts";
import { trainBpe } from "../../src/chameleon/tokenizers/train-bpe.ts";
import { encodePng } from "../../src/image/index.ts";
import { type Dtype, SafetensorsFile, writeSafetensors } from "../../src/runtime/safetensors.ts";
import { type InitializeOptions, initializeModel } from "../../src/xprompt/initialize.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { bin, start } from "../cli/kit.ts";
import { randomWeights, tiny } from "../fixtures/chameleon/kit.ts";
import { chameleonConfig, chameleonWeights, copyCheckpoint, reference } from "../fixtures/vqgan/kit.ts";
import { image, somePicture } from "../fixtures/xprompt/kit.ts";

const tokenizer = trainBpe(["remove the red ball"], { merges: 8, imageCodes: 32, xpTokens: 0, minCount: 1 });
const { vocabulary } = new TextTokenizer(tokenizer);
/** The embedding has unused rows. */
const ROWS = vocabulary.size + 2;
const WIDTH = tiny.hiddenSize;

let folder = "";
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-init-"));
  const sizes = { ...tiny, vocabularySize: ROWS, maxPositions: 40 };
  const weights = randomWeights(new Map([...decoderParameters(sizes), ...imageTokenizerParameters(image)]));
  const tensors = [...weights].map(([name, { shape, data }]) => {
    const dtype: Dtype = name.includes("vqmodel") ? "F32" : name.startsWith("lm_head") ? "F16" : "BF16";
    return { name, dtype, shape, data };
  });
  await writeFolder("base", tensors);
  await writeFolder(
    "no pictures",
    tensors.filter(({ name }) => !name.startsWith("model.vqmodel.decoder.")),
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function writeFolder(name: string, tensors: Parameters<typeof writeSafetensors>[1]): Promise<void> {
  await mkdir(at(name));
  const config = {
    model_type: "chameleon",
    architectures: ["ChameleonForConditionalGeneration"],
    hidden_size: WIDTH,
    intermediate_size: tiny.intermediateSize,
    num_hidden_layers: tiny.layers,
    num_attention_heads: tiny.heads,
    rms_norm_eps: tiny.rmsNormEpsilon,
    rope_parameters: { rope_type: "default", rope_theta: tiny.rope.theta },
    max_position_embeddings: 40,
    vocab_size: ROWS,
    vq_config: vqganToJson(image),
    vocabulary_map: { "<s>": 0, "<pad>": 1 },
    transformers_version: "5.23.0",
  };
  await writeFile(at(name, "config.json"), JSON.stringify(config));
  await writeFile(at(name, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeSafetensors(at(name, "model.safetensors"), tensors);
}

const options = (change: Partial<InitializeOptions> = {}): InitializeOptions => ({
  base: at("base"),
  output: at("made"),
  xpTokens: 5,
  maxTextTokens: 6,
  seed: 3,
  ...change,
});

/** A table of a folder, as rows. */
async function table(name: string, tensor: string): Promise<Float32Array[]> {
  const file = await SafetensorsFile.open(at(name, "model.safetensors"));
  try {
    const values = await file.readFloat32(tensor);
    return Array.from({ length: values.length / WIDTH }, (_, i) =>
      values.subarray(i * WIDTH, (i + 1) * WIDTH),
    );
  } finally {
    await file.close();
  }
}

/** Mean and standard deviation of a column. */
function statistics(rows: readonly Float32Array[], column: number): [mean: number, deviation: number] {
  const values = rows.map((row) => row[column]!);
  const mean = values.reduce((sum, x) => sum + x) / values.length;
  return [mean, Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length)];
}

describe("initializeModel", () => {
  beforeAll(async () => {
    await initializeModel(options());
  });

  test("new rows behind all others: every other value is the base's, in its type", async () => {
    const [before, after] = [
      await SafetensorsFile.open(at("base", "model.safetensors")),
      await SafetensorsFile.open(at("made", "model.safetensors")),
    ];
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
    for (const [name, { dtype, shape }] of before.tensors) {
      const [old, made] = [await before.read(name), await after.read(name)];
      const added = /embed_tokens|lm_head/.test(name);
      expect([name, made.dtype, ...made.shape]).toEqual([
        name,
        dtype,
        ...(added ? [shape[0]! + 5, shape[1]!] : shape),
      ]);
      expect(Buffer.from(made.bytes.subarray(0, old.bytes.length)).equals(Buffer.from(old.bytes)), name).toBe(
        true,
      );
    }
    await Promise.all([before.close(), after.close()]);
  });

  test("embeddings of XP are the mean with a little noise, each another; rows of the head are the mean", async () => {
    const embeddings = await table("made", "model.embed_tokens.weight");
    const [old, fresh] = [embeddings.slice(0, ROWS), embeddings.slice(ROWS)];
    expect(fresh).toHaveLength(5);
    expect(new Set(fresh.map((row) => row.join())).size).toBe(5);
    let squares = 0;
    for (let column = 0; column < WIDTH; column++) {
      const [mean, deviation] = statistics(old, column);
      for (const row of fresh) squares += ((row[column]! - mean) / deviation) ** 2;
    }
    expect(Math.sqrt(squares / (5 * WIDTH))).toBeGreaterThan(0.08);
    expect(Math.sqrt(squares / (5 * WIDTH))).toBeLessThan(0.12);
    const head = await table("made", "lm_head.weight");
    for (let column = 0; column < WIDTH; column++) {
      const [mean] = statistics(head.slice(0, ROWS), column);
      for (const row of head.slice(ROWS)) expect(Math.abs(row[column]! - mean)).toBeLessThan(1e-3);
    }
  });

  test("the configuration has the new names, sizes and positions, and keeps the base's other settings", async () => {
    const config = JSON.parse(await readFile(at("made", "config.json"), "utf8"));
    // Example: 1 + 6 + 2 · 18 + 5 = 48 → 64. TODO: 2 + 16 + 2 + 32 + 1 = 53.
    expect(config).toMatchObject({
      vocab_size: ROWS + 5,
      max_position_embeddings: 64 + 53,
      xprompt: { tokens: 5, todo_position: 64, max_text_tokens: 6 },
      transformers_version: "5.23.0",
      rope_parameters: { rope_theta: tiny.rope.theta },
      vocabulary_map: { "<s>": 0, "<xp00>": ROWS, "<xp04>": ROWS + 4 },
    });
    const made = await TextTokenizer.load(at("made", "tokenizer.json"));
    expect(made.vocabulary.xp).toEqual([0, 1, 2, 3, 4].map((i) => ROWS + i));
    expect(made.encode("remove the <xp00>")).toEqual(
      new TextTokenizer(tokenizer).encode("remove the <xp00>"),
    );
  });

  test("the folder is a model that compresses and generates", async () => {
    const model = await XPrompt.load(at("made"), { threads: 1 });
    try {
      const prompt = await model.compress([{ input: somePicture("a"), output: somePicture("b") }]);
      expect(prompt.blocks[0]!.length).toBe(5);
      const { images } = await model.generate({ prompt, input: somePicture("c"), seed: 1 });
      expect(images).toHaveLength(1);
    } finally {
      await model.release();
    }
  });

  test("the same seed gives the same weights, another seed others", async () => {
    const bytes = async (name: string) => readFile(at(name, "model.safetensors"));
    await initializeModel(options({ output: at("again") }));
    expect((await bytes("again")).equals(await bytes("made"))).toBe(true);
    await initializeModel(options({ output: at("other"), seed: 4 }));
    expect((await bytes("other")).equals(await bytes("made"))).toBe(false);
  });

  test("reinitImageHead: the head's image rows are like those of text, nothing else changes", async () => {
    await initializeModel(options({ output: at("anew"), reinitImageHead: true }));
    const [before, after] = [await table("made", "lm_head.weight"), await table("anew", "lm_head.weight")];
    const changed = before.flatMap((row, i) => (row.join() === after[i]!.join() ? [] : [i]));
    expect(changed).toEqual([...vocabulary.imageTokens]);
    const text = Array.from(vocabulary.textTokens, (id) => before[id]!);
    const drawn = changed.map((id) => after[id]!);
    let [offset, ratio] = [0, 0];
    for (let column = 0; column < WIDTH; column++) {
      const [mean, deviation] = statistics(text, column);
      const [ofDrawn, spread] = statistics(drawn, column);
      offset += Math.abs(ofDrawn - mean) / deviation / WIDTH;
      ratio += spread / deviation / WIDTH;
    }
    expect(offset).toBeLessThan(0.3);
    expect(ratio).toBeGreaterThan(0.85);
    expect(ratio).toBeLessThan(1.15);
  });

  test("a base whose image tokenizer has no decoder: examples are read, only drawing is refused", async () => {
    await initializeModel(options({ base: at("no pictures"), output: at("reader") }));
    const model = await XPrompt.load(at("reader"), { threads: 1 });
    try {
      const prompt = await model.compress([{ input: somePicture("a"), output: somePicture("b") }]);
      expect(prompt.blocks).toHaveLength(1);
      await expect(model.generate({ prompt, seed: 1 })).rejects.toThrow(
        /^generating: expected a model that can decode pictures, .* xprompt init again\)$/,
      );
    } finally {
      await model.release();
    }
  });
});

describe("files beside the base's weights", () => {
  test("the processor still preprocesses pictures", async () => {
    await cp(at("base"), at("with processor"), { recursive: true });
    const processor = { crop_size: 32, size: { shortest_edge: 36 }, rescale_factor: 0.0078, resample: 3 };
    await writeFile(at("with processor", "preprocessor_config.json"), JSON.stringify(processor));
    await initializeModel(options({ base: at("with processor"), output: at("prepared") }));
    const [base, made] = [await Chameleon.load(at("with processor")), await XPrompt.load(at("prepared"))];
    const plain = await XPrompt.load(at("made"));
    try {
      const photo = await encodePng(somePicture("photo", 50));
      const { vocabulary } = base.tokenizer;
      const tokens = await base.promptTokens([photo], { separator: false });
      const wanted = tokens
        .filter((id) => vocabulary.isImageToken(id))
        .map((id) => vocabulary.codeOfToken[id]!);
      const codesOf = async (model: XPrompt) => model.tokenizer.encodeImage(await model.base.pixels(photo));
      expect([...(await codesOf(made))]).toEqual(wanted);
      expect([...(await codesOf(plain))]).not.toEqual(wanted);
      expect(made.fingerprint).not.toBe(plain.fingerprint);
      // Colours are those of the pictures, not of what the processor makes of them.
      const before = somePicture("before", made.size);
      const negative = { ...before, data: before.data.map((value) => 1 - value) };
      const example = { input: await encodePng(before), output: await encodePng(negative) };
      const result = await made.generate({ examples: [example], input: photo, fullSize: true });
      expect(result.changeFrom).toBe("example colours");
    } finally {
      await Promise.all([base.release(), made.release(), plain.release()]);
    }
  });

  test("the decoder of a vqgan.ckpt becomes a part of the weights", async () => {
    const vq = await chameleonWeights();
    const sizes = { ...chameleonConfig.vq_config, dropout: 0 };
    const { codes } = vqganFromJson(vqConfigSchema.parse(sizes));
    const words = trainBpe(["red"], { merges: 1, imageCodes: codes, xpTokens: 0, minCount: 1 });
    const rows = new TextTokenizer(words).vocabulary.size;
    const decoder = randomWeights(decoderParameters({ ...tiny, vocabularySize: rows }));
    await mkdir(at("beside"));
    await writeSafetensors(at("beside", "model.safetensors"), [
      ...[...decoder].map(([name, { shape, data }]) => ({ name, dtype: "F32" as const, shape, data })),
      ...[...vq].map(([name, each]) => ({ name: `model.vqmodel.${name}`, dtype: "F32" as const, ...each })),
    ]);
    const config = JSON.parse(await readFile(at("base", "config.json"), "utf8"));
    const changed = { ...config, vocab_size: rows, vq_config: sizes };
    await writeFile(at("beside", "config.json"), JSON.stringify(changed));
    await writeFile(at("beside", "tokenizer.json"), JSON.stringify(words));
    await copyCheckpoint(at("beside", "vqgan.ckpt"));
    await initializeModel(options({ base: at("beside"), output: at("whole") }));
    const model = await XPrompt.load(at("whole"), { threads: 1 });
    try {
      expect(model.tokenizer.decodesImages).toBe(true);
      const row = reference.meta.codes[0]!;
      const { data } = await model.tokenizer.decodeImage(row);
      for (const i of [0, 100, 767]) {
        const wanted = (reference.meta.decoded[(i % 3) * 256 + Math.floor(i / 3)]! + 1) / 2;
        expect(data[i]).toBeCloseTo(Math.min(1, Math.max(0, wanted)), 4);
      }
    } finally {
      await model.release();
    }
  });
});

describe("xprompt init", () => {
  const init = (...args: string[]) => start(process.execPath, [bin, "init", ...args], { cwd: folder }).ended;
  const whole = ["--base", "base", "--xp-tokens", "5", "--max-text-tokens", "6", "--seed", "3"];

  test("writes the same files as the function, prints one JSON object, and reports new positions", async () => {
    const { status, stdout, stderr } = await init(...whole, "--output", "cli", "--json");
    expect([status, stderr]).toEqual([
      0,
      expect.stringContaining("take 117 positions, the base was trained on 40"),
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      output: "cli",
      vocabularySize: ROWS + 5,
      xprompt: { tokens: 5, todoPosition: 64, maxTextTokens: 6 },
      positions: { used: 117, base: 40 },
    });
    for (const name of ["config.json", "tokenizer.json", "model.safetensors"])
      expect((await readFile(at("cli", name))).equals(await readFile(at("made", name))), name).toBe(true);
  });

  test("refuses with one line, and writes nothing", async () => {
    await cp(at("base"), at("quantized"), { recursive: true });
    const config = JSON.parse(await readFile(at("base", "config.json"), "utf8"));
    const quantized = {
      ...config,
      quantization_config: { quant_method: "xprompt", bits: 4, block_size: 32 },
    };
    await writeFile(at("quantized", "config.json"), JSON.stringify(quantized));
    await cp(at("base"), at("damaged"), { recursive: true });
    await writeFile(at("damaged", "config.json"), JSON.stringify({ ...config, num_hidden_layers: 3 }));
    const before = (await readdir(folder)).sort();
    const cases: [args: string[], status: number, says: string][] = [
      [["--base", "nothing", "--xp-tokens", "5"], 1, "expected a model folder"],
      [["--base", "made", "--xp-tokens", "5"], 1, "expected a model without XP tokens"],
      [["--base", "quantized", "--xp-tokens", "5"], 1, "expected plain weights, got quantized ones"],
      [["--base", "damaged", "--xp-tokens", "5"], 1, "model.layers.2"],
      [["--base", "base", "--xp-tokens", "0"], 2, "--xp-tokens: expected a whole number from 1"],
      [["--base", "base"], 2, "--xp-tokens"],
    ];
    const refused = cases.map(async ([args, expected, says]) => {
      const { status, stdout, stderr } = await init(...args, "--output", "refused");
      expect([args, status, stdout]).toEqual([args, expected, ""]);
      expect(stderr).toMatch(/^xprompt: [^\n]+\n$/);
      expect(stderr).toContain(says);
    });
    await Promise.all(refused);
    const full = await init(...whole, "--output", "made");
    expect([full.status, full.stderr]).toEqual([
      1,
      expect.stringContaining("expected an empty or no folder"),
    ]);
    expect((await readdir(folder)).sort()).toEqual(before);
  });
});
