/** @file `config.json` of a Chameleon-family checkpoint, in Hugging Face's layout. */
import { z } from "zod";
import type { Rotation } from "../../graph/index.ts";
import type { PictureLayoutName } from "../model/grammar.ts";
import type { AdapterConfig } from "../model/lora.ts";
import type { CodeFeatures } from "../model/shared-rows.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import { quantizationConfig, quantizationConfigSchema, type StoredQuantization } from "./quantize.ts";

/** Sizes of the language model; those of the published 7B in brackets. */
export interface DecoderConfig {
  /** Rows of the embedding table and of the output head (65536). */
  readonly vocabularySize: number;
  /** Width of the residual stream (4096). */
  readonly hiddenSize: number;
  /** Width inside the gated MLP (11008). */
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values; fewer than `heads` means grouped-query attention. */
  readonly keyValueHeads: number;
  readonly rmsNormEpsilon: number;
  /** Rotary position embedding (θ = 10,000). */
  readonly rope: Rotation;
  /** Positions that the rotary tables cover (4096). */
  readonly maxPositions: number;
  /** Normalize after each sub-layer instead of before it, as the 34B does. */
  readonly swinNorm: boolean;
  /**
   * Tokens that enclose a picture with bidirectional attention within given pictures; by default attention is causal.
   */
  readonly wholePictures?: PictureBounds;
  /**
   * Layers add the first layer's values (https://arxiv.org/abs/2410.17897) and the embeddings; not in published models.
   */
  readonly shortcuts?: boolean;
  /** Quantization of the matrices; float32 without. */
  readonly quantization?: StoredQuantization;
  /** Features that the rows of image tokens share; only in training. */
  readonly codeFeatures?: CodeFeatures;
  /** Adapter trained on top of the weights; only in training, never in a stored model. */
  readonly adapter?: AdapterConfig;
}

/** Ids of the tokens that enclose a picture. */
export interface PictureBounds {
  readonly begin: number;
  readonly end: number;
}

/** An integer from 1. The bounds are far above any model; they keep a corrupt number from using all memory and time. */
const upTo = (most: number) => z.int().min(1).max(most);
const size = upTo(2 ** 20);
/** Resolutions that have attention. */
const sides = z.array(size).max(64).nullable().default(null);
/** The most positions that rotary tables are made for. */
export const MOST_POSITIONS = 2 ** 20;
/** The most codes along the edge of a picture. */
const MOST_SIDE = Math.sqrt(MOST_POSITIONS);

/**
 * The image tokenizer's part of `config.json`. Defaults are the published values, which Hugging Face leaves out.
 */
export const vqConfigSchema = z
  .looseObject({
    resolution: upTo(2 ** 14).default(512),
    in_channels: z.literal(3).default(3),
    base_channels: size.default(128),
    channel_multiplier: z.array(size).min(1).max(12).default([1, 1, 2, 2, 4]),
    num_res_blocks: upTo(64).default(2),
    latent_channels: size.default(256),
    embed_dim: size.default(256),
    num_embeddings: size.default(8192),
    double_latent: z.literal(false).default(false),
    /** Resolutions at which attention follows every block, besides the middle block. */
    attn_resolutions: sides,
    attn_type: z.literal("vanilla").default("vanilla"),
    norm_groups: size.default(32),
    /** Our extension for Janus's decoders: the same for the decoder, and whether it takes code vectors of length 1. */
    decoder_attn_resolutions: sides,
    unit_codes: z.boolean().default(false),
    /** Our extension: edge length of the tiles that the encoder processes independently. */
    encoder_tile: size.nullable().default(null),
    /** Our extension: codes of raw patches. */
    patches: z.boolean().default(false),
  })
  .refine((config) => config.resolution % 2 ** (config.channel_multiplier.length - 1) === 0, {
    message: "expected a resolution that the levels divide",
  })
  .refine(
    ({ resolution, channel_multiplier }) => resolution / 2 ** (channel_multiplier.length - 1) <= MOST_SIDE,
    {
      message: `expected pictures of at most ${MOST_SIDE} codes along a side`,
    },
  )
  .refine(
    ({ encoder_tile: tile, resolution, channel_multiplier }) =>
      tile === null || (resolution % tile === 0 && tile % 2 ** (channel_multiplier.length - 1) === 0),
    { message: "expected an encoder_tile that divides the resolution and that the levels divide" },
  )
  .refine(
    ({ patches, embed_dim, channel_multiplier }) =>
      !patches || embed_dim === 3 * 4 ** (channel_multiplier.length - 1),
    { message: "expected an embed_dim of three values per pixel of a cell, for codes of raw patches" },
  );

/** False, or null, which means the same. */
const no = z
  .literal(false)
  .nullish()
  .transform(() => false as const);

/**
 * Fields that change the computation of other models in `transformers`, with the values that do not. A variant must not
 * run as if it were the original. Any other field is bookkeeping or concerns training.
 */
const PLAIN: Readonly<Record<string, readonly unknown[]>> = {
  attention_chunk_size: [null],
  attention_multiplier: [null],
  attn_logit_softcapping: [null],
  embedding_multiplier: [null, 1],
  final_logit_softcapping: [null],
  logit_scale: [null, 1],
  logits_scaling: [null, 1],
  no_rope_layers: [null],
  num_experts: [null, 0],
  num_local_experts: [null, 0],
  partial_rotary_factor: [null, 1],
  position_embedding_type: [null, "rope"],
  qk_layernorm: [null, true],
  query_pre_attn_scalar: [null],
  residual_multiplier: [null, 1],
  sliding_window: [null],
  use_qk_norm: [null, true],
};

/** Plain rotary embedding, or positions divided by a factor. */
const ropeType = z.enum(["default", "linear"]);

/**
 * Base of the rotary frequencies, and position divisor. Beyond these bounds neighbouring positions are
 * indistinguishable.
 */
const theta = z.number().min(1).max(1e12);
const factor = z.number().min(1e-3).max(1e6);

/** The language model's part of `config.json`. Defaults are the published values, which older files leave out. */
export const decoderConfigSchema = z
  .looseObject({
    vocab_size: size.default(65_536),
    hidden_size: size.default(4096),
    intermediate_size: size.default(11_008),
    num_hidden_layers: upTo(1024).default(32),
    num_attention_heads: size.default(32),
    num_key_value_heads: size.nullish(),
    rms_norm_eps: z.number().positive().max(1).default(1e-5),
    rope_theta: theta.nullish(),
    /** Rotary settings in transformers 5. */
    rope_parameters: z
      .looseObject({
        rope_type: ropeType.default("default"),
        rope_theta: theta.optional(),
        factor: factor.optional(),
      })
      .nullish(),
    max_position_embeddings: upTo(MOST_POSITIONS).default(4096),
    swin_norm: z.boolean().nullish(),
    hidden_act: z.literal("silu").default("silu"),
    attention_bias: no,
    mlp_bias: no,
    /** Rotary scaling in older files. */
    rope_scaling: z
      .looseObject({
        rope_type: ropeType.optional(),
        type: ropeType.optional(),
        factor: factor.optional(),
      })
      .nullish(),
    tie_word_embeddings: no,
    /** Our extension: ids of the tokens that enclose pictures with bidirectional attention. */
    whole_pictures: z.strictObject({ begin: z.int().min(0), end: z.int().min(0) }).nullish(),
    /** Our extension: layers add the first layer's values and the embeddings. */
    shortcuts: z.boolean().nullish(),
    quantization_config: quantizationConfigSchema.nullish(),
  })
  .superRefine((config, context) => {
    const headDim = config.hidden_size / config.num_attention_heads;
    const plain: typeof PLAIN = { ...PLAIN, head_dim: [null, headDim] };
    for (const [name, values] of Object.entries(plain))
      if (config[name] !== undefined && !values.includes(config[name]))
        context.addIssue({
          code: "custom",
          path: [name],
          message: `expected ${values.map((value) => JSON.stringify(value)).join(" or ")}, as Chameleon has it, got ${JSON.stringify(config[name])}: this is another model`,
        });
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
    ...(json.encoder_tile && { encoderTile: json.encoder_tile }),
    ...(json.patches && { patches: true }),
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
    ...(config.encoderTile && { encoder_tile: config.encoderTile }),
    ...(config.patches && { patches: true }),
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
    rope: rotationOf(json),
    maxPositions: json.max_position_embeddings,
    swinNorm: json.swin_norm ?? false,
    ...(json.shortcuts && { shortcuts: true }),
    ...(json.whole_pictures && { wholePictures: json.whole_pictures }),
    ...(json.quantization_config && {
      quantization: {
        bits: json.quantization_config.bits,
        blockSize: json.quantization_config.block_size,
      },
    }),
  };
}

function rotationOf({
  rope_parameters: now,
  rope_scaling: before,
  rope_theta,
}: z.output<typeof decoderConfigSchema>): Rotation {
  const theta = now?.rope_theta ?? rope_theta ?? 10_000;
  const isLinear = [now?.rope_type, before?.rope_type, before?.type].includes("linear");
  const factor = now?.factor ?? before?.factor ?? 1;
  return isLinear && factor !== 1 ? { theta, factor } : { theta };
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
    rope_theta: config.rope.theta,
    ...(config.rope.factor && { rope_scaling: { type: "linear", factor: config.rope.factor } }),
    max_position_embeddings: config.maxPositions,
    swin_norm: config.swinNorm,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    ...(config.shortcuts && { shortcuts: true }),
    ...(config.wholePictures && { whole_pictures: { ...config.wholePictures } }),
    ...(config.quantization && { quantization_config: { ...quantizationConfig(config.quantization) } }),
  };
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");

/** Checksums of the other files in a model folder of ours. */
export const checksums = {
  /** SHA-256 of `model.safetensors`. */
  weights_sha256: sha256.optional(),
  /** SHA-256 of the content of `tokenizer.json`; see `tokenizerChecksum`. */
  tokenizer_sha256: sha256.optional(),
};

/** Configuration of a Chameleon-family model: sizes of both parts, and token layout of pictures. */
export interface ChameleonConfig {
  readonly decoder: DecoderConfig;
  readonly image: VqganConfig;
  readonly pictures: PictureLayoutName;
  /** SHA-256 of `model.safetensors`, if the configuration has it. */
  readonly checksum?: string;
  /** Token ids by name, if the configuration has them; `tokenizer.json` must agree. */
  readonly vocabularyMap?: Readonly<Record<string, number>>;
}

/** `model_type` of a folder with the tokenizers of a model alone. */
export const TOKENIZERS_ONLY = "chameleon_tokenizers";

export const chameleonConfigSchema = decoderConfigSchema.safeExtend({
  model_type: z.literal("chameleon", {
    error: ({ input }) =>
      input === TOKENIZERS_ONLY
        ? `expected chameleon, got ${TOKENIZERS_ONLY}: the folder has no language model (train one with --tokenizers=FOLDER)`
        : "expected chameleon: this is another kind of model",
  }),
  architectures: z.array(z.string()).nullish(),
  vq_config: z.preprocess((value) => value ?? {}, vqConfigSchema),
  vocabulary_map: z.record(z.string(), z.int()).nullish(),
  ...checksums,
  /** Only Lumina-mGPT's checkpoints have it. */
  z_loss_weight: z.number().optional(),
});

export function chameleonConfigFromJson(json: z.output<typeof chameleonConfigSchema>): ChameleonConfig {
  const lumina =
    json.z_loss_weight !== undefined || json.architectures?.some((name) => name.includes("XLLMX"));
  return {
    decoder: decoderFromJson(json),
    image: vqganFromJson(json.vq_config),
    pictures: lumina ? "lumina" : "chameleon",
    checksum: json.weights_sha256,
    ...(json.vocabulary_map && { vocabularyMap: json.vocabulary_map }),
  };
}
