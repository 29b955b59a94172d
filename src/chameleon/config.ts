/** @file `config.json` of a Chameleon-family checkpoint, in Hugging Face's layout. */
import { z } from "zod";
import type { Quantization } from "../graph/index.ts";
import type { AdapterConfig } from "./lora.ts";
import { quantizationConfig, quantizationConfigSchema } from "./quantize.ts";
import type { VqganConfig } from "./vqgan.ts";

/** Sizes of the language model; the published 7B's in brackets. */
export interface DecoderConfig {
  /** Rows of the embedding table and of the head (65536). */
  readonly vocabularySize: number;
  /** Width of the residual stream (4096). */
  readonly hiddenSize: number;
  /** Width inside the gated MLP (11008). */
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values; fewer than `heads` means that groups of queries share them. */
  readonly keyValueHeads: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  /** Positions that the rotary tables cover (4096). */
  readonly maxPositions: number;
  /** Normalize after each sub-layer instead of before it, as the 34B does. */
  readonly swinNorm: boolean;
  /** How the matrices are kept, where they are not float32. */
  readonly quantization?: Quantization;
  /** What is trained beside these weights; in training alone, no model is kept like that. */
  readonly adapter?: AdapterConfig;
}

const positive = z.int().min(1);

/**
 * The image tokenizer's part of `config.json`. Hugging Face leaves out what is as published: those are the defaults.
 */
export const vqConfigSchema = z
  .looseObject({
    resolution: positive.default(512),
    in_channels: z.literal(3).default(3),
    base_channels: positive.default(128),
    channel_multiplier: z.array(positive).min(1).default([1, 1, 2, 2, 4]),
    num_res_blocks: positive.default(2),
    latent_channels: positive.default(256),
    embed_dim: positive.default(256),
    num_embeddings: positive.default(8192),
    double_latent: z.literal(false).default(false),
    /** Sides at which every block is followed by attention, besides the middle's. */
    attn_resolutions: z.array(positive).nullable().default(null),
    attn_type: z.literal("vanilla").default("vanilla"),
    norm_groups: positive.default(32),
    /** Ours, for Janus's decoders: those sides in the decoder, and that it takes code vectors of length 1. */
    decoder_attn_resolutions: z.array(positive).nullable().default(null),
    unit_codes: z.boolean().default(false),
  })
  .refine((config) => config.resolution % 2 ** (config.channel_multiplier.length - 1) === 0, {
    message: "expected a resolution that the levels divide",
  });

export const decoderConfigSchema = z
  .looseObject({
    vocab_size: positive,
    hidden_size: positive,
    intermediate_size: positive,
    num_hidden_layers: positive,
    num_attention_heads: positive,
    num_key_value_heads: positive.optional(),
    rms_norm_eps: z.number().positive().default(1e-5),
    rope_theta: z.number().positive().default(10_000),
    /** Where transformers 5 keeps the angles. */
    rope_parameters: z
      .looseObject({ rope_type: z.literal("default"), rope_theta: z.number().positive() })
      .nullish(),
    max_position_embeddings: positive,
    swin_norm: z.boolean().default(false),
    hidden_act: z.literal("silu").default("silu"),
    attention_bias: z.literal(false).default(false),
    mlp_bias: z.literal(false).default(false),
    rope_scaling: z.null().default(null),
    tie_word_embeddings: z.literal(false).default(false),
    quantization_config: quantizationConfigSchema.nullish(),
  })
  .refine((config) => config.hidden_size % (2 * config.num_attention_heads) === 0, {
    message: "expected a hidden_size that divides into heads of even width",
  })
  .refine((config) => config.num_attention_heads % (config.num_key_value_heads ?? 1) === 0, {
    message: "expected num_attention_heads to be a multiple of num_key_value_heads",
  });

export function vqganFromJson(json: z.output<typeof vqConfigSchema>): VqganConfig {
  return {
    resolution: json.resolution,
    baseChannels: json.base_channels,
    channelMultiplier: json.channel_multiplier,
    residualBlocks: json.num_res_blocks,
    latentChannels: json.latent_channels,
    embedDim: json.embed_dim,
    codes: json.num_embeddings,
    normGroups: json.norm_groups,
    ...(json.attn_resolutions?.length && { attentionResolutions: json.attn_resolutions }),
    ...(json.decoder_attn_resolutions && { decoderAttentionResolutions: json.decoder_attn_resolutions }),
    ...(json.unit_codes && { unitCodes: true }),
  };
}

export function vqganToJson(config: VqganConfig): z.input<typeof vqConfigSchema> {
  return {
    resolution: config.resolution,
    in_channels: 3,
    base_channels: config.baseChannels,
    channel_multiplier: [...config.channelMultiplier],
    num_res_blocks: config.residualBlocks,
    latent_channels: config.latentChannels,
    embed_dim: config.embedDim,
    num_embeddings: config.codes,
    double_latent: false,
    attn_resolutions: config.attentionResolutions ? [...config.attentionResolutions] : null,
    attn_type: "vanilla",
    norm_groups: config.normGroups,
    ...(config.decoderAttentionResolutions && {
      decoder_attn_resolutions: [...config.decoderAttentionResolutions],
    }),
    ...(config.unitCodes && { unit_codes: true }),
  };
}

export function decoderFromJson(json: z.output<typeof decoderConfigSchema>): DecoderConfig {
  return {
    vocabularySize: json.vocab_size,
    hiddenSize: json.hidden_size,
    intermediateSize: json.intermediate_size,
    layers: json.num_hidden_layers,
    heads: json.num_attention_heads,
    keyValueHeads: json.num_key_value_heads ?? json.num_attention_heads,
    rmsNormEpsilon: json.rms_norm_eps,
    ropeTheta: json.rope_parameters?.rope_theta ?? json.rope_theta,
    maxPositions: json.max_position_embeddings,
    swinNorm: json.swin_norm,
    ...(json.quantization_config && {
      quantization: {
        bits: json.quantization_config.bits,
        blockSize: json.quantization_config.block_size,
      },
    }),
  };
}

export function decoderToJson(config: DecoderConfig): z.input<typeof decoderConfigSchema> {
  return {
    vocab_size: config.vocabularySize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.keyValueHeads,
    rms_norm_eps: config.rmsNormEpsilon,
    rope_theta: config.ropeTheta,
    max_position_embeddings: config.maxPositions,
    swin_norm: config.swinNorm,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    ...(config.quantization && { quantization_config: { ...quantizationConfig(config.quantization.bits) } }),
  };
}
