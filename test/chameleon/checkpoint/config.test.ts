import { describe, expect, test } from "vitest";
import {
  chameleonConfigFromJson,
  chameleonConfigSchema,
  type DecoderConfig,
  decoderConfigSchema,
  decoderFromJson,
  decoderToJson,
  vqConfigSchema,
  vqganFromJson,
  vqganToJson,
} from "../../../src/chameleon/checkpoint/config.ts";
import { readJson } from "../../../src/runtime/files.ts";
import { modelConfigFromJson, modelConfigSchema } from "../../../src/xprompt/config.ts";

const published = {
  vocab_size: 65536,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  max_position_embeddings: 4096,
};
const decoderOf = (json: object) => decoderFromJson(decoderConfigSchema.parse(json));
const fixture = (name: string) =>
  readJson(
    new URL(`../../fixtures/chameleon/${name}/config.json`, import.meta.url).pathname,
    decoderConfigSchema,
    "model config",
  );

describe("decoder", () => {
  test("reads the output of transformers, with rotary settings of version 5", async () => {
    expect(decoderFromJson(await fixture("plain"))).toEqual({
      vocabularySize: 64,
      hiddenSize: 32,
      intermediateSize: 48,
      layers: 2,
      heads: 4,
      keyValueHeads: 4,
      rmsNormEpsilon: 1e-5,
      rope: { theta: 10_000 },
      maxPositions: 64,
      swinNorm: false,
    });
    expect(decoderFromJson(await fixture("grouped"))).toMatchObject({
      heads: 6,
      keyValueHeads: 2,
      rmsNormEpsilon: 1e-4,
      rope: { theta: 500 },
      swinNorm: true,
    });
  });

  test("has defaults for fields that older files lack, and reads their rotary settings", () => {
    const { num_key_value_heads: _, ...rest } = published;
    expect(decoderOf(rest)).toMatchObject({
      keyValueHeads: 32,
      rmsNormEpsilon: 1e-5,
      rope: { theta: 10_000 },
      swinNorm: false,
    });
    expect(decoderOf({ ...published, rope_theta: 5e5, rope_scaling: null }).rope.theta).toBe(5e5);
    expect(decoderOf({ ...published, rope_theta: 5e5, rope_parameters: null }).rope.theta).toBe(5e5);
  });

  test("a round trip keeps everything", () => {
    const config: DecoderConfig = {
      vocabularySize: 100,
      hiddenSize: 24,
      intermediateSize: 40,
      layers: 3,
      heads: 6,
      keyValueHeads: 2,
      rmsNormEpsilon: 1e-6,
      rope: { theta: 777 },
      maxPositions: 50,
      swinNorm: true,
    };
    expect(decoderOf(decoderToJson(config))).toEqual(config);
  });

  test.each([
    ["in the field of older files", { rope_theta: 30, rope_scaling: { type: "linear", factor: 0.25 } }],
    ["in the field of version 5", { rope_parameters: { rope_type: "linear", rope_theta: 30, factor: 0.25 } }],
  ])("reads positions that are divided, %s, and writes them", (_where, change) => {
    const config = decoderOf({ ...published, ...change });
    expect(config.rope).toEqual({ theta: 30, factor: 0.25 });
    expect(decoderOf(decoderToJson(config))).toEqual(config);
    const plain = { rope_scaling: { type: "default", factor: 0.25 } };
    expect(decoderOf({ ...published, ...plain }).rope).toEqual({ theta: 10_000 });
  });

  test.each([
    ["a rotary scaling", { rope_scaling: { type: "dynamic", factor: 2 } }],
    ["a rotary scaling of version 5", { rope_parameters: { rope_type: "yarn", rope_theta: 1e4, factor: 2 } }],
    ["positions divided by 0", { rope_scaling: { type: "linear", factor: 0 } }],
    ["another activation", { hidden_act: "gelu" }],
    ["biases in attention", { attention_bias: true }],
    ["biases in the MLP", { mlp_bias: true }],
    ["a head tied to the embeddings", { tie_word_embeddings: true }],
    ["heads of odd width", { hidden_size: 32 * 3 }],
    ["a number of heads that does not divide", { num_key_value_heads: 5 }],
    ["no layers", { num_hidden_layers: 0 }],
    ["a width that is not a number", { hidden_size: "4096" }],
    ["more layers than any model", { num_hidden_layers: 100_000 }],
    ["an ε beyond float32", { rms_norm_eps: 1e300 }],
    ["rotary frequencies that are noise", { rope_theta: 1e-300 }],
    ["rotary frequencies near 0", { rope_theta: 1e300 }],
    ["more positions than memory", { max_position_embeddings: 1e12 }],
  ])("refuses %s, which the graph does not have", (_what, change) => {
    expect(decoderConfigSchema.safeParse(published).success).toBe(true);
    expect(decoderConfigSchema.safeParse({ ...published, ...change }).success).toBe(false);
  });
});

describe("image tokenizer", () => {
  test("defaults are the published values, which Hugging Face leaves out", () => {
    expect(vqganFromJson(vqConfigSchema.parse({ model_type: "chameleon_vqgan" }))).toEqual({
      resolution: 512,
      baseChannels: 128,
      channelMultiplier: [1, 1, 2, 2, 4],
      residualBlocks: 2,
      latentChannels: 256,
      embedDim: 256,
      codes: 8192,
      normGroups: 32,
    });
  });

  test("a round trip keeps everything", () => {
    const config = {
      resolution: 24,
      baseChannels: 8,
      channelMultiplier: [1, 2, 3],
      residualBlocks: 1,
      latentChannels: 6,
      embedDim: 5,
      codes: 33,
      normGroups: 4,
    };
    const more = {
      ...config,
      attentionResolutions: [6, 12],
      decoderAttentionResolutions: [],
      unitCodes: true,
      encoderTile: 12,
    };
    for (const each of [config, more])
      expect(vqganFromJson(vqConfigSchema.parse(vqganToJson(each)))).toStrictEqual(each);
  });

  test.each([
    ["a resolution that the levels do not divide", { resolution: 20, channel_multiplier: [1, 1, 1, 1] }],
    ["tiles that do not divide the picture", { resolution: 64, encoder_tile: 48 }],
    ["tiles that the levels do not divide", { resolution: 64, encoder_tile: 8 }],
    ["an invalid attention resolution", { attn_resolutions: ["16"] }],
    ["no attention in the middle", { attn_type: "none" }],
    ["means and deviations as latents", { double_latent: true }],
    ["no levels", { channel_multiplier: [] }],
    ["grey pictures", { in_channels: 1 }],
    ["more blocks than any tokenizer", { num_res_blocks: 100_000 }],
    ["pictures of terabytes", { resolution: 2 ** 31 }],
    ["more codes than positions", { resolution: 2 ** 12, channel_multiplier: [1] }],
  ])("refuses %s", (_what, change) => {
    expect(vqConfigSchema.safeParse(change).success).toBe(false);
  });
});

describe("null means the same as a missing field", () => {
  const names = ["attention_bias", "mlp_bias", "tie_word_embeddings", "vq_config", "rope_scaling"];

  test.each(names)("%s", (name) => {
    const json = { ...published, model_type: "chameleon" };
    const read = (more: object) => chameleonConfigFromJson(chameleonConfigSchema.parse({ ...json, ...more }));
    expect(read({ [name]: null })).toEqual(read({}));
    const xprompt = { tokens: 1, todo_position: 1, max_text_tokens: 1 };
    const both = { ...json, xprompt, vq_config: {}, [name]: null };
    expect(modelConfigFromJson(modelConfigSchema.parse(both)).decoder).toEqual(read({}).decoder);
  });
});
