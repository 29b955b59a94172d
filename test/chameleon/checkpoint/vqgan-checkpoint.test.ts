/** @file Published image tokenizers, compared with PyTorch; see test/fixtures/vqgan/make.py. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type OpenImageTokenizerOptions,
  openImageTokenizer,
} from "../../../src/chameleon/checkpoint/vqgan-checkpoint.ts";
import { ImageTokenizer } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import { XPromptError } from "../../../src/errors.ts";
import {
  chameleonConfig,
  chameleonWeights,
  copyCheckpoint,
  images,
  janusConfig,
  reference,
  weightsOf,
  writeFolder,
} from "../../fixtures/vqgan/kit.ts";

let root: string;
/** Hugging Face's folder, without a decoder. */
let chameleon: string;
/** transformers' Janus VQ-VAE in its own folder. */
let janus: string;
/** Meta's file, outside of any model folder. */
let ckpt: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "vqgan-"));
  chameleon = await writeFolder(join(root, "chameleon"), chameleonConfig, await chameleonWeights());
  janus = await writeFolder(join(root, "janus"), janusConfig, await weightsOf("janus.pt"), { prefix: "" });
  ckpt = await copyCheckpoint(join(root, "meta", "vqgan.ckpt"));
});
afterAll(() => rm(root, { recursive: true }));

const open = async (folder: string, options?: OpenImageTokenizerOptions) => {
  const { config, weights } = await openImageTokenizer(folder, options);
  return new ImageTokenizer(config, weights, { threads: 1 });
};

/** The largest difference of decoded pictures from the reference's, both clipped to [0, 1]. */
async function worstDifference(
  tokenizer: ImageTokenizer,
  { codes, decoded }: { codes: number[][]; decoded: number[] },
): Promise<number> {
  const pictures = await tokenizer.decode(codes);
  let worst = 0;
  for (const [n, { data }] of pictures.entries())
    for (const [i, value] of data.entries()) {
      const wanted = (decoded[(n * 3 + (i % 3)) * 256 + Math.floor(i / 3)]! + 1) / 2;
      worst = Math.max(worst, Math.abs(value - Math.min(1, Math.max(0, wanted))));
    }
  return worst;
}

/** Tensors of a folder without an image tokenizer. */
const languageModel = new Map([["model.norm.weight", { shape: [2], data: Float32Array.of(1, 1) }]]);

const rows = (codes: readonly Int32Array[]) => codes.map((row) => [...row]);

async function lineOf(folder: string, options?: OpenImageTokenizerOptions): Promise<string> {
  const error = await openImageTokenizer(folder, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XPromptError);
  const { message } = error as XPromptError;
  expect(message).toMatch(/^reading [^\n]*: [^\n]*(expected [^\n]*, got:? |is damaged)[^\n]*\)$/);
  return message;
}

describe("the reference's codes and pictures", () => {
  test("Hugging Face's folder with Meta's file beside it", async () => {
    const tokenizer = await open(chameleon, { imageTokenizer: ckpt });
    expect(rows(await tokenizer.encode(images))).toEqual(reference.meta.codes);
    expect(await worstDifference(tokenizer, reference.meta)).toBeLessThan(1e-5);
    await tokenizer.release();
  });

  test("a folder with Meta's file inside, that has no image tokenizer of its own", async () => {
    for (const place of ["vqgan.ckpt", "tokenizer/vqgan.ckpt"]) {
      const folder = join(root, `bare ${place.length}`);
      await writeFolder(folder, chameleonConfig, languageModel, { prefix: "" });
      await copyCheckpoint(join(folder, place));
      const tokenizer = await open(folder);
      expect([...(await tokenizer.encodeImage(images[1]!))]).toEqual(reference.meta.codes[1]);
      const [wanted] = await tokenizer.decode([reference.meta.codes[1]!]);
      expect(await tokenizer.decodeImage(reference.meta.codes[1]!)).toEqual(wanted);
      await tokenizer.release();
    }
  });

  test("Janus's VQ-VAE, alone and as a part of Janus", async () => {
    const { model_type, ...vq_config } = janusConfig;
    const part = await writeFolder(
      join(root, "whole janus"),
      { model_type: "janus", vq_config },
      await weightsOf("janus.pt"),
    );
    for (const folder of [janus, part]) {
      const tokenizer = await open(folder);
      expect(rows(await tokenizer.encode(images))).toEqual(reference.janus.codes);
      expect(await worstDifference(tokenizer, reference.janus)).toBeLessThan(1e-5);
      await tokenizer.release();
    }
  });

  test("Janus's decoder for an encoder without attention at its lowest level", async () => {
    const weights = await weightsOf("janus.pt");
    const encoding = new Map(reference.chameleon.map((name) => [name, weights.get(name)!]));
    const folder = await writeFolder(join(root, "both"), chameleonConfig, encoding);
    const { config, weights: opened } = await openImageTokenizer(folder, { imageTokenizer: janus });
    expect(config).toMatchObject({ decoderAttentionResolutions: [8], unitCodes: true });
    expect(config.attentionResolutions).toBeUndefined();
    const tokenizer = new ImageTokenizer(config, opened, { threads: 1 });
    expect(await worstDifference(tokenizer, reference.janus)).toBeLessThan(1e-5);
    await tokenizer.release();
  });

  test("a folder that has its decoder needs nothing else", async () => {
    const folder = await writeFolder(
      join(root, "own decoder"),
      chameleonConfig,
      await weightsOf("vqgan.ckpt"),
    );
    const tokenizer = await open(folder);
    expect(await worstDifference(tokenizer, reference.meta)).toBeLessThan(1e-5);
    await tokenizer.release();
  });
});

test("weights in 16 bits have the same codebook as those in 32", async () => {
  for (const dtype of ["F16", "BF16"] as const) {
    const folder = await writeFolder(join(root, dtype), chameleonConfig, await chameleonWeights(), { dtype });
    const { weights } = await openImageTokenizer(folder, { imageTokenizer: ckpt });
    expect(weights.has("model.vqmodel.decoder.up.1.block.1.conv2.weight")).toBe(true);
  }
});

test("without a decoder, pictures can be encoded but not decoded", async () => {
  const tokenizer = await open(chameleon);
  expect(tokenizer.canDecode).toBe(false);
  expect(rows(await tokenizer.encode(images))).toEqual(reference.meta.codes);
  const refused = tokenizer.decodeImage(reference.meta.codes[0]!);
  await expect(refused).rejects.toThrow(XPromptError);
  await expect(refused).rejects.toThrow(/expected .* decoder, got the encoder alone.*put Meta's vqgan\.ckpt/);
  await tokenizer.release();
});

describe("refuses, before any weight is read,", () => {
  const config = (change: object) => ({
    ...chameleonConfig,
    vq_config: { ...chameleonConfig.vq_config, ...change },
  });
  const folderOf = async (
    json: unknown,
    change: (weights: Awaited<ReturnType<typeof weightsOf>>) => void,
  ) => {
    const weights = await chameleonWeights();
    change(weights);
    return writeFolder(join(root, "refused"), json, weights);
  };

  test.each<[string, object, RegExp]>([
    ["an unknown field", { z_norm: true }, /vq_config\.z_norm = true/],
    ["another kind of attention", { attn_type: "linear" }, /vq_config\.attn_type: /],
    ["means and deviations", { double_latent: true }, /vq_config\.double_latent: /],
    [
      "sizes of other weights",
      { embed_dim: 7 },
      /"quant_conv\.weight": expected \[7, 6, 1, 1\], got \[5, 6, 1, 1\]/,
    ],
    ["more levels than there are", { channel_multiplier: [1, 2, 2] }, /downsample.*expected .*, got none/],
    ["fewer levels than there are", { channel_multiplier: [1] }, /expected .*, got /],
    ["more blocks than any tokenizer", { num_res_blocks: 1e6 }, /vq_config\.num_res_blocks: /],
    ["norms that do not divide", { norm_groups: 7 }, /expected sizes in vq_config that fit together, got: /],
    ["too few channels for the norms", { base_channels: 1 }, /expected sizes in vq_config that fit together/],
    ["attention without weights", { attn_resolutions: [8] }, /down\.1\.attn\.0.*got none/],
  ])("%s", async (_what, change, message) => {
    expect(await lineOf(await folderOf(config(change), () => {}))).toMatch(message);
  });

  test("fields without effect are accepted", async () => {
    const more = {
      dropout: 0.5,
      initializer_range: 0.02,
      torch_dtype: "bfloat16",
      pruned_heads: {},
      tf_legacy_loss: false,
    };
    await openImageTokenizer(await folderOf(config({ ...more, id2label: { 0: "LABEL_0" } }), () => {}));
  });

  test("attention that the configuration does not have", async () => {
    const folder = await writeFolder(join(root, "attentive"), chameleonConfig, await weightsOf("janus.pt"));
    expect(await lineOf(folder)).toMatch(/expected no tensor "encoder\.down\.1\.attn\.0\.k\.bias"/);
  });

  test("a missing tensor, and a folder without an encoder", async () => {
    const json = config({});
    expect(await lineOf(await folderOf(json, (w) => w.delete("encoder.mid.attn_1.k.bias")))).toMatch(
      /"encoder\.mid\.attn_1\.k\.bias": expected \[64\], got none/,
    );
    expect(await lineOf(await writeFolder(join(root, "words"), json, languageModel, { prefix: "" }))).toMatch(
      /expected an encoder, got none/,
    );
  });

  test("a decoder of another codebook, or of another size", async () => {
    expect(await lineOf(chameleon, { imageTokenizer: janus })).toMatch(
      /expected the codebook of .*chameleon, got another from code 0 on/,
    );
    const other = { ...janusConfig, num_patches: 4 };
    const folder = await writeFolder(join(root, "smaller"), other, await weightsOf("janus.pt"), {
      prefix: "",
    });
    expect(await lineOf(chameleon, { imageTokenizer: folder })).toMatch(/expected resolution 16 .*, got 8/);
  });

  test("a place without a decoder, a missing one, and a file that is cut off", async () => {
    const without = await writeFolder(join(root, "without"), chameleonConfig, await chameleonWeights());
    expect(await lineOf(chameleon, { imageTokenizer: without })).toMatch(
      /without: expected a decoder, got none/,
    );
    expect(await lineOf(chameleon, { imageTokenizer: join(root, "nowhere") })).toMatch(/no such file/);
    const cut = join(root, "cut.ckpt");
    await writeFile(cut, (await readFile(ckpt)).subarray(0, 20_000));
    expect(await lineOf(chameleon, { imageTokenizer: cut })).toMatch(/the file is cut off/);
  });
});

test("a file whose data were overwritten is refused by its checksum", async () => {
  const bytes = await readFile(ckpt);
  const damaged = join(root, "damaged.ckpt");
  bytes.fill(0, 20_000, 21_000);
  await writeFile(damaged, bytes);
  expect(await lineOf(chameleon, { imageTokenizer: damaged })).toMatch(
    /data\/\d+": expected the recorded checksum.* is damaged/,
  );
});
