/** @file Completing prompts with a plain checkpoint, compared with Hugging Face's implementation. */
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Chameleon, type CompleteOptions } from "../../../src/chameleon/chameleon.ts";
import { readWeights } from "../../../src/chameleon/checkpoint/folder.ts";
import { convertModel } from "../../../src/chameleon/convert/convert.ts";
import { Decoder } from "../../../src/chameleon/model/decoder.ts";
import { UsageError, XPromptError } from "../../../src/errors.ts";
import { createImage } from "../../../src/image/index.ts";
import { sha256File } from "../../../src/runtime/files.ts";
import { writeSafetensors } from "../../../src/runtime/safetensors.ts";
import {
  configJson,
  type FolderOptions,
  picture,
  promptOf,
  reference,
  tokenizerJson,
  writeCheckpoint,
} from "../../fixtures/complete/kit.ts";

const root = await mkdtemp(join(tmpdir(), "xprompt-complete-"));
const options = { threads: 1 };
let model: Chameleon;
let folders = 0;

async function folderOf(made: FolderOptions = {}): Promise<string> {
  const folder = join(root, String(folders++));
  await writeCheckpoint(folder, made);
  return folder;
}

beforeAll(async () => {
  model = await Chameleon.load(await folderOf(), options);
});
afterAll(async () => {
  await model.release();
  await rm(root, { recursive: true, force: true });
});

/** Sizes of the published 7B. */
const published = {
  vocab_size: 65536,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
};

/** The parts in one line: texts in quotes, pictures as P. */
const lineOf = (parts: readonly unknown[]): string =>
  parts.map((part) => (typeof part === "string" ? JSON.stringify(part) : "P")).join(" ");

describe("Hugging Face's implementation", () => {
  test.each(reference.prompts)("uses the same tokens for $prompt", async ({ prompt, separator, ids }) => {
    expect(await model.promptTokens(promptOf(prompt), { separator })).toEqual(ids);
  });

  test.each(reference.completions)("gives the same in $mode after $prompt, $guidance", async (asked) => {
    const { prompt, separator, mode, maxTokens, guidance, tokens } = asked;
    const request = { prompt: promptOf(prompt), separator, mode, maxTokens, guidance, temperature: 0 };
    const completed = await model.complete(request);
    expect(completed.tokens).toEqual(tokens);
    expect(completed.promptTokens).toBe((await model.promptTokens(promptOf(prompt), { separator })).length);
  });

  test("encodes consecutive texts as one", async () => {
    const whole = await model.promptTokens(["the red circle"]);
    expect(await model.promptTokens(["the r", "ed", " circle"])).toEqual(whole);
    expect(await model.promptTokens(["ed circle", "the r"])).not.toEqual(whole);
  });

  test("has the same logits, image tokens included", async () => {
    const { tokens, shape, data } = reference.logits;
    const logits = await model.logits(tokens);
    const { vocabularySize } = model.config.decoder;
    expect(logits).toHaveLength(tokens.length * vocabularySize);
    const every7th = Array.from({ length: shape[0] }, (_, t) =>
      Array.from({ length: shape[1] }, (_, i) => logits[t * vocabularySize + 7 * i]!),
    ).flat();
    expect(every7th).toHaveLength(data.length);
    const worst = Math.max(...every7th.map((value, i) => Math.abs(value - data[i]!)));
    expect(worst).toBeLessThan(2e-4);
  });
});

describe("the same weights", () => {
  const asked = reference.completions.find(({ mode, guidance }) => mode === "image" && guidance?.text)!;
  test.each<[string, FolderOptions]>([
    ["float16", { dtype: "F16" }],
    ["bfloat16 in three shards", { dtype: "BF16", shards: 3 }],
    ["float32 without the picture decoder", { withoutDecoder: true }],
  ])("as %s draw the same", async (_what, made) => {
    const other = await Chameleon.load(await folderOf(made), options);
    try {
      const { prompt, separator, mode, guidance, tokens } = asked;
      const request = { prompt: promptOf(prompt), separator, mode, guidance, temperature: 0 };
      const { parts, tokens: drawn } = await other.complete(request);
      expect(drawn).toEqual(tokens);
      if (made.withoutDecoder) {
        const codes = tokens.slice(1, -1).map((id) => other.tokenizer.vocabulary.codeOfToken[id]!);
        expect(parts).toEqual([Int32Array.from(codes)]);
        await expect(other.tokenizer.decodeImage(codes)).rejects.toThrow(
          "expected an image tokenizer with its decoder",
        );
      } else expect(parts).toEqual((await model.complete(request)).parts);
    } finally {
      await other.release();
    }
  });
});

test("a shard may be a link to another folder", async () => {
  const [folder, elsewhere] = [await folderOf({ dtype: "F16", shards: 2 }), join(root, "elsewhere")];
  await mkdir(elsewhere);
  const shard = "model-00002-of-00002.safetensors";
  await rename(join(folder, shard), join(elsewhere, shard));
  await symlink(join(elsewhere, shard), join(folder, shard));
  await using linked = await Chameleon.load(folder, options);
  const { tokens } = reference.logits;
  expect(await linked.logits(tokens)).toEqual(await model.logits(tokens));
});

describe("the fingerprint", () => {
  test("is the same for the same checkpoint in shards", async () => {
    await using sharded = await Chameleon.load(await folderOf({ shards: 3 }), options);
    expect(sharded.fingerprint).toBe(model.fingerprint);
  });

  test.each<[string, (folder: string) => Promise<void>]>([
    [
      "other rows in the middle of the head",
      async (folder) => {
        const weights = await readWeights(folder, undefined);
        const { data } = weights.get("lm_head.weight")!;
        data.fill(0, data.length / 2, (data.length * 3) / 4);
        const changed = [...weights].map(([name, weight]) => ({ ...weight, name, dtype: "F32" as const }));
        await writeSafetensors(join(folder, "model.safetensors"), changed, { format: "pt" });
      },
    ],
    [
      "a processor",
      (folder) => writeFile(join(folder, "preprocessor_config.json"), '{"crop_size": 16, "size": 16}'),
    ],
    [
      "a checksum",
      async (folder) => {
        const weights_sha256 = await sha256File(join(folder, "model.safetensors"), "weights");
        await writeFile(join(folder, "config.json"), JSON.stringify({ ...configJson, weights_sha256 }));
      },
    ],
  ])("is another with %s", async (_what, change) => {
    const folder = await folderOf();
    await change(folder);
    await using other = await Chameleon.load(folder, options);
    expect(other.fingerprint).not.toBe(model.fingerprint);
  });

  test("is another with a decoder of pictures from elsewhere", async () => {
    const folder = await folderOf({ withoutDecoder: true });
    await using without = await Chameleon.load(folder, options);
    await using completed = await Chameleon.load(folder, { ...options, imageTokenizer: await folderOf() });
    expect(completed.fingerprint).not.toBe(without.fingerprint);
  });
});

test("converted to 8 bits, nearly the same", async () => {
  const { tokens } = reference.logits;
  const output = join(root, "int8");
  await convertModel(await folderOf(), { format: "int8", output, threads: 1 });
  const converted = await Chameleon.load(output, options);
  const [exact, logits] = [await model.logits(tokens), await converted.logits(tokens)];
  await converted.release();
  const size = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
  const error = size(logits.map((x, i) => x - exact[i]!)) / size(exact);
  expect(error).toBeLessThan(0.03);
  expect(error).toBeGreaterThan(1e-4);
});

describe("tokenizers", () => {
  test("pictures become codes and pictures again, text ids and text", async () => {
    const codes = await model.tokenizer.encodeImage(picture("one"));
    const { ids } = reference.prompts.find(
      ({ prompt }) => prompt.length === 1 && typeof prompt[0] !== "string",
    )!;
    expect([...codes]).toEqual(ids.slice(2, 18).map((id) => model.tokenizer.vocabulary.codeOfToken[id]!));
    const again = await model.tokenizer.decodeImage(codes);
    expect(again).toMatchObject({ width: 16, height: 16 });
    expect(again.data.every((value) => value >= 0 && value <= 1)).toBe(true);
    const text = "What is the red circle?";
    expect(model.tokenizer.decodeText(model.tokenizer.encodeText(text))).toBe(text);
  });
});

describe("samples", () => {
  const request: CompleteOptions = {
    prompt: ["a ", picture("two")],
    mode: "interleaved",
    maxTokens: 50,
    seed: 3,
  };

  test.each(["text", "image", "interleaved"] as const)(
    "%s: each is the same whatever the number, and others differ",
    async (mode) => {
      const guidance = mode === "text" ? 1 : { image: 1.5, text: 2 };
      const asked = { ...request, mode, guidance };
      const three = await model.complete({ ...asked, samples: 3 });
      const one = await model.complete(asked);
      expect(three.samples).toHaveLength(3);
      expect(three.samples[0]!.tokens).toEqual(one.tokens);
      expect(three.tokens).toEqual(one.tokens);
      expect(three.samples[1]!.tokens).not.toEqual(one.tokens);
      expect((await model.complete({ ...asked, seed: 4 })).tokens).not.toEqual(one.tokens);
    },
  );

  test("text and pictures come in turn, and the budget holds", async () => {
    let [pictures, texts] = [0, 0];
    for (let seed = 0; seed < 6; seed++) {
      const { parts, tokens } = await model.complete({ ...request, seed });
      expect(tokens.length).toBeLessThanOrEqual(50);
      expect(lineOf(parts)).not.toMatch(/" "/);
      for (const part of parts) {
        if (typeof part === "string") texts++;
        else {
          expect(part).toMatchObject({ width: 16, height: 16 });
          pictures++;
        }
      }
    }
    expect(Math.min(pictures, texts)).toBeGreaterThan(0);
  });

  test("progress tells the parts so far", async () => {
    const seen: string[] = [];
    const { parts } = await model.complete({
      ...request,
      mode: "image",
      maxTokens: undefined,
      onProgress: ({ tokens, maxTokens, parts }) => {
        const [[codes]] = parts() as [[Int32Array]];
        seen.push(`${tokens}/${maxTokens}: ${codes.length}`);
      },
    });
    expect(parts).toHaveLength(1);
    expect(seen).toHaveLength(16);
    expect(seen[0]).toBe("2/18: 1");
    // The token at the end of the picture has no alternative.
    expect(seen.at(-1)).toBe("18/18: 16");
  });

  test("an aborted signal stops it with its reason", async () => {
    const controller = new AbortController();
    const reason = new XPromptError("enough");
    const work = model.complete({
      ...request,
      mode: "image",
      maxTokens: undefined,
      signal: controller.signal,
      onProgress: ({ tokens }) => tokens > 5 && controller.abort(reason),
    } as CompleteOptions);
    await expect(work).rejects.toBe(reason);
  });
});

test("more memory than there is, is refused before anything is read", async () => {
  vi.stubEnv("XPROMPT_MEMORY_LIMIT", "100000");
  try {
    await expect(model.complete({ prompt: ["a"], mode: "text", samples: 64 })).rejects.toThrow(
      /^completing: expected .* of memory for 64 sequences of \d+ tokens, .* got 97\.7 KiB available/,
    );
  } finally {
    vi.unstubAllEnvs();
  }
});

test("tokens are copied only when the parts are requested", async () => {
  const seen: { readonly tokens: number; parts(): (string | Int32Array)[][] }[] = [];
  const request: CompleteOptions = { prompt: ["a red"], mode: "image", seed: 3 };
  await model.complete({ ...request, onProgress: (progress) => void seen.push(progress) });
  // The parts of a progress report do not change later.
  const lengths = seen.map(({ parts }) => (parts()[0]![0] as Int32Array).length);
  expect(lengths).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
});

describe("refusals", () => {
  const prompt = ["a red circle"];
  test.each<[string, object, string]>([
    [
      "no such mode",
      { mode: "video" },
      'completing: mode: expected one of text, image, interleaved, got "video"',
    ],
    [
      "no room for a picture",
      { mode: "image", maxTokens: 17 },
      "completing: maxTokens: expected at least 18",
    ],
    ["more than the positions", { mode: "text", maxTokens: 159 }, "the rest of 160 positions, got 159"],
    [
      "no whole number",
      { mode: "text", maxTokens: 1.5 },
      "completing: maxTokens: expected a whole number from 1",
    ],
    [
      "a path as text is no picture",
      { mode: "text", prompt: "photo.jpg" },
      "prompt: expected an array of texts",
    ],
    ["a number in the prompt", { mode: "text", prompt: [7] }, "prompt: expected an array of texts"],
    [
      "a wrong guidance",
      { mode: "image", guidance: { words: 2 } },
      "completing: guidance: expected a number from 0",
    ],
    [
      "a prompt too long",
      { mode: "text", prompt: ["a b ".repeat(90)] },
      "expected a prompt of at most 159 tokens",
    ],
    ["a missing picture", { mode: "text", prompt: [{ picture: "no.png" }] }, "no.png"],
    [
      "a picture with too many values",
      { mode: "text", prompt: [{ ...picture("one"), width: 8 }] },
      "expected 384 values for 8 × 16",
    ],
  ])("%s", async (_what, wrong, message) => {
    const work = model.complete({ prompt, mode: "text", ...wrong } as CompleteOptions);
    await expect(work).rejects.toThrow(XPromptError);
    await expect(model.complete({ prompt, mode: "text", ...wrong } as CompleteOptions)).rejects.toThrow(
      message,
    );
  });

  test("an unknown option, with the nearest", async () => {
    const work = model.complete({ prompt, mode: "text", temprature: 0 } as CompleteOptions);
    await expect(work).rejects.toThrow(UsageError);
    await expect(work).rejects.toThrow(/^completing: .*, got temprature \(did you mean "temperature"\?\)$/);
  });

  test("logits for no tokens, too many tokens, unknown ids", async () => {
    for (const tokens of [[], Array(161).fill(4), [-1], [384], [1.5]])
      await expect(model.logits(tokens)).rejects.toThrow(UsageError);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["another kind of model", { model_type: "llama" }, /config\.json: model_type: expected chameleon/],
    [
      "tokenizers alone",
      { model_type: "chameleon_tokenizers" },
      /expected chameleon, got chameleon_tokenizers: the folder has no/,
    ],
    [
      "a window of attention",
      { sliding_window: 64 },
      /sliding_window: expected null, as Chameleon has it, got 64/,
    ],
    ["heads of another width", { head_dim: 16 }, /head_dim: expected null or 8, as Chameleon has it, got 16/],
    ["scaled angles", { rope_parameters: { rope_type: "yarn", factor: 2 } }, /rope_parameters\.rope_type/],
    [
      "foreign quantization",
      { quantization_config: { quant_method: "gptq" } },
      /quantization_config\.quant_method: expected "xprompt", got "gptq"/,
    ],
    [
      "the 7B's sizes",
      { ...published, vocabulary_map: null },
      /expected a language model of at most 2 GiB as float32, got 26\.\d GiB \(.*xprompt convert .* --quantize int4/,
    ],
    ["a layer too many", { num_hidden_layers: 3 }, /model\.layers\.2\..*expected a weight .*got none/],
    ["other widths", { intermediate_size: 40 }, /mlp\..*expected a weight/],
    [
      "another tokenizer",
      { vocabulary_map: { "<eoss>": 5 } },
      /expected token 5 to be <eoss>, as the vocabulary_map/,
    ],
    ["a smaller vocabulary", { vocab_size: 300 }, /expected a tokenizer of up to 300 tokens/],
  ])("a checkpoint with %s", async (_what, config, message) => {
    const folder = await folderOf({ config });
    const failed = await Chameleon.load(folder, options).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(XPromptError);
    expect((failed as XPromptError).message).toMatch(message);
    expect((failed as XPromptError).message).not.toContain("\n");
  });

  test("Lumina-mGPT's pictures without their tokens, before anything is loaded", async () => {
    const folder = await folderOf({ config: { vocabulary_map: undefined } });
    const path = join(folder, "tokenizer.json");
    await writeFile(path, (await readFile(path, "utf8")).replaceAll("<reserved08799>", "<reserved09799>"));
    const create = vi.spyOn(Decoder, "create");
    await expect(Chameleon.load(folder, { ...options, pictures: "lumina" })).rejects.toThrow(
      "expected a token <reserved08799>, found none",
    );
    expect(create).not.toHaveBeenCalled();
    create.mockRestore();
  });

  test("a folder without a tokenizer, or with a broken one", async () => {
    const folder = await folderOf();
    await rm(join(folder, "tokenizer.json"));
    await expect(Chameleon.load(folder, options)).rejects.toThrow(/tokenizer\.json/);
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizerJson).slice(0, 900));
    await expect(Chameleon.load(folder, options)).rejects.toThrow(XPromptError);
  });
});

describe("a checkpoint with a processor of its own", () => {
  const processor = (rescale: number, side = 16) =>
    JSON.stringify({
      image_processor_type: "ChameleonImageProcessor",
      size: { shortest_edge: side },
      crop_size: { height: side, width: side },
      rescale_factor: rescale,
    });

  test("preprocesses pictures of any size accordingly", async () => {
    const folder = await folderOf();
    await writeFile(join(folder, "preprocessor_config.json"), processor(2 / 255));
    const own = await Chameleon.load(folder, options);
    await writeFile(join(folder, "preprocessor_config.json"), processor(1 / 255));
    const darker = await Chameleon.load(folder, options);
    try {
      const { prompt, ids } = reference.prompts.find(({ prompt }) => prompt.length === 4)!;
      expect(await own.promptTokens(promptOf(prompt))).toEqual(ids);
      expect(await darker.promptTokens(promptOf(prompt))).not.toEqual(ids);
      const wide = createImage(40, 20, [0.2, 0.4, 0.6]);
      expect(await own.promptTokens([wide])).toEqual(
        await own.promptTokens([createImage(16, 16, [0.2, 0.4, 0.6])]),
      );
    } finally {
      await own.release();
      await darker.release();
    }
  });

  test("is refused when it produces other sizes", async () => {
    const folder = await folderOf();
    await writeFile(join(folder, "preprocessor_config.json"), processor(2 / 255, 8));
    await expect(Chameleon.load(folder, options)).rejects.toThrow(
      "expected pictures of 16 × 16, the size of the image tokenizer, got 8 × 8",
    );
  });
});

test("config.json may have other fields: bookkeeping, older forms, Lumina-mGPT's", async () => {
  const folder = await folderOf({
    config: {
      architectures: ["ChameleonXLLMXForConditionalGeneration"],
      rope_parameters: undefined,
      rope_theta: 10_000,
      rope_scaling: null,
      vocabulary_map: undefined,
      torch_dtype: "bfloat16",
      _name_or_path: "somewhere",
      mask_image_logits: false,
      z_loss_weight: 1e-5,
      dropout: 0.05,
      pretraining_tp: 1,
      vq_config: { ...(configJson.vq_config as object), attn_resolutions: [], out_ch: 3, ch_mult: [1, 1, 1] },
    },
  });
  const lumina = await Chameleon.load(folder, options);
  try {
    expect(lumina.tokensPerImage).toBe(1 + 2 + 4 * 5 + 1);
    const { tokens } = await lumina.complete({
      prompt: ["a red circle"],
      mode: "image",
      guidance: 3,
      seed: 1,
    });
    expect(tokens).toHaveLength(24);
    expect(tokens.filter((id) => lumina.tokenizer.vocabulary.nameOf(id) === "<reserved08799>")).toHaveLength(
      4,
    );
  } finally {
    await lumina.release();
  }
  const plain = await Chameleon.load(folder, { ...options, pictures: "chameleon" });
  expect(plain.tokensPerImage).toBe(18);
  expect(plain.fingerprint).toBe(model.fingerprint);
  await plain.release();
});

test("with guidance, Lumina-mGPT's pictures among text are those without text", async () => {
  await using lumina = await Chameleon.load(await folderOf(), { ...options, pictures: "lumina" });
  for (const prompt of [["one"], ["one", picture("two")]]) {
    const request = { prompt, guidance: { image: 1.5, text: 2 }, temperature: 0 };
    const { tokens } = await lumina.complete({ ...request, mode: "image" });
    const among = await lumina.complete({ ...request, mode: "interleaved", maxTokens: tokens.length });
    expect(among.tokens).toEqual(tokens);
  }
});
