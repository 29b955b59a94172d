/**
 * @file Exports a model folder for Hugging Face's `transformers` 5: `ChameleonForConditionalGeneration`, its tokenizer
 * and its image processor. Parts that only we read stay in it (`xprompt`, checksums, the VQGAN's decoder, for which
 * `transformers` has no code), so that the result is still a model folder of ours.
 */
import { join } from "node:path";
import type { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { filters, metaPreprocessing, type Preprocessing } from "../../image/index.ts";
import { product } from "../../numbers.ts";
import { readJson, sha256File, writeFolderAtomic, writeJson } from "../../runtime/files.ts";
import { type SafetensorsOptions, type TensorToWrite, writeSafetensors } from "../../runtime/safetensors.ts";
import { openWeights, type WeightFolder } from "../../runtime/weights.ts";
import { isOfImages, VQ_PREFIX } from "../tokenizers/image-tokenizer.ts";
import { type TokenizerFile, tokenizerChecksum, tokenizerFileSchema } from "../tokenizers/tokenizer-file.ts";
import { IMAGE_PLACEHOLDER, Vocabulary } from "../tokenizers/vocabulary.ts";
import { codesPerImage, type VqganConfig } from "../tokenizers/vqgan.ts";
import {
  chameleonConfigSchema,
  decoderFromJson,
  decoderToJson,
  vqganFromJson,
  vqganToJson,
} from "./config.ts";
import { loadTextTokenizer } from "./folder.ts";
import { needsDigits, widened, widenedConfig, widenedShape, widening } from "./norm-groups.ts";
import { preprocessingOf } from "./preprocessing.ts";

/** Weight types that `transformers` loads without conversion, and its names for them. */
const dtypes = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;
type FloatDtype = keyof typeof dtypes;

export interface Export {
  /** Number of parameters in the written file and in the model. */
  readonly parameters: { readonly written: number; readonly own: number };
  /** Width of the exported image tokenizer relative to the original; see norm-groups.ts. */
  readonly widening: number;
  readonly dtype: (typeof dtypes)[FloatDtype];
  /**
   * Edge length of the tiles into which pictures must be cut before encoding with `transformers`, which has no tiles.
   */
  readonly encoderTile?: number;
}

/**
 * Writes the model of the folder `source` to the folder `target` atomically.
 * @throws XPromptError when the model is damaged or quantized, or `target` cannot be written or is not empty
 */
export async function exportHuggingFace(
  source: string,
  target: string,
  options: SafetensorsOptions = {},
): Promise<Export> {
  const config = await readJson(join(source, "config.json"), chameleonConfigSchema, "model config");
  checkPublished(source, config);
  await loadTextTokenizer(source, config);
  const tokenizer = withImageToken(
    await readJson(join(source, "tokenizer.json"), tokenizerFileSchema, "tokenizer"),
  );
  const names = namesOf(tokenizer);
  const vocabulary = new Vocabulary(tokenizer);
  const stored = await openWeights(source);
  try {
    const dtype = floatDtype(stored);
    if (config.weights_sha256 !== undefined) await checkSum(source, config.weights_sha256);
    const own = vqganFromJson(config.vq_config);
    const times = widening(own);
    const vqgan = widenedConfig(own, times);
    const tensors = tensorsOf(stored, times);
    const exported = withBos(tokenizer, vocabulary.bos);
    const preprocessing = (await preprocessingOf(source, own)) ?? ownPreprocessing(own);
    const write = async (folder: string) => {
      const put = (name: string, content: object) => writeJson(join(folder, name), content, options);
      const file = join(folder, "model.safetensors");
      await writeSafetensors(file, tensors, { format: "pt" }, options);
      const ids = {
        bos_token_id: vocabulary.bos,
        eos_token_id: vocabulary.eos,
        pad_token_id: vocabulary.pad,
      };
      const written = {
        ...configToJson(config, vqgan),
        ...ids,
        dtype: dtypes[dtype],
        vocabulary_map: names,
        image_token_id: names["<image>"],
        weights_sha256: await sha256File(file, "weights"),
        tokenizer_sha256: tokenizerChecksum(exported),
      };
      // Sorted by name, as transformers writes them.
      const byName = Object.entries(written).sort(([a], [b]) => (a < b ? -1 : 1));
      await put("config.json", Object.fromEntries(byName));
      await put("generation_config.json", { ...ids, do_sample: true });
      await put("tokenizer.json", exported);
      await put("tokenizer_config.json", tokenizerConfig(decoderFromJson(config).maxPositions));
      await put("preprocessor_config.json", pictureConfig(preprocessing));
      await put("processor_config.json", {
        processor_class: "ChameleonProcessor",
        image_seq_length: codesPerImage(vqgan),
        image_token: "<image>",
      });
    };
    await writeFolderAtomic(target, write, options);
    const count = (all: Iterable<{ readonly shape: readonly number[] }>) =>
      [...all].reduce((sum, { shape }) => sum + product(shape), 0);
    const parameters = { written: count(tensors), own: count(stored.tensors.values()) };
    return { parameters, widening: times, dtype: dtypes[dtype], encoderTile: own.encoderTile };
  } finally {
    await stored.close();
  }
}

/** @throws XPromptError for a model with computations that `transformers` does not have */
function checkPublished(source: string, config: z.output<typeof chameleonConfigSchema>): void {
  const own = [
    config.vq_config.patches && "an image tokenizer with raw patches (vq_config.patches)",
    config.whole_pictures && "bidirectional attention within pictures (whole_pictures)",
    config.shortcuts && "layers that add the first layer's values (shortcuts)",
  ].filter(Boolean);
  if (own.length > 0)
    throw new XPromptError(
      `exporting ${source}: expected a model with the published Chameleon architecture, got ${own.join(" and ")}, which transformers does not support (train a model without it)`,
    );
}

/** The most frequent type of the weights. @throws XPromptError when one is quantized */
function floatDtype(stored: WeightFolder): FloatDtype {
  const numbers = new Map<FloatDtype, number>();
  for (const [name, { dtype, byteLength }] of stored.tensors) {
    if (!isFloat(dtype))
      throw new XPromptError(
        `exporting ${stored.folder}: expected floating-point weights, got ${name} in ${dtype}: the model is quantized (export the model before quantization)`,
      );
    numbers.set(dtype, (numbers.get(dtype) ?? 0) + byteLength);
  }
  return [...numbers].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}

const isFloat = (dtype: string): dtype is FloatDtype => dtype in dtypes;

async function checkSum(folder: string, checksum: string): Promise<void> {
  const file = join(folder, "model.safetensors");
  if ((await sha256File(file, "weights")) !== checksum)
    throw new XPromptError(
      `exporting ${folder}: expected the checksum of model.safetensors in config.json, got another: the file is damaged (copy the folder again)`,
    );
}

/** All weights, with the image tokenizer widened `times` times. Each is read when it is written. */
function tensorsOf(stored: WeightFolder, times: number): TensorToWrite[] {
  return [...stored.tensors].map(([name, { dtype, shape }]) => {
    if (!isOfImages(name)) return { name, dtype, shape, data: async () => (await stored.read(name)).bytes };
    const own = name.slice(VQ_PREFIX.length + 1);
    return {
      name,
      dtype: needsDigits(own, times) ? "F32" : dtype,
      shape: widenedShape(own, shape, times),
      data: async () => widened(own, { shape, data: await stored.readFloat32(name) }, times),
    };
  });
}

const namesOf = ({ model, added_tokens }: TokenizerFile): Record<string, number> => ({
  ...model.vocab,
  ...Object.fromEntries(added_tokens.map(({ content, id }) => [content, id])),
});

/**
 * Makes sure that the tokenizer has `<image>`, the placeholder of `transformers`. Meta's files have a reserved token.
 * @throws XPromptError when it has neither
 */
function withImageToken(tokenizer: TokenizerFile): TokenizerFile {
  const names = namesOf(tokenizer);
  if (names["<image>"] !== undefined) return tokenizer;
  if (names[IMAGE_PLACEHOLDER] === undefined)
    throw new XPromptError(
      `exporting a tokenizer: expected a token <image> or ${IMAGE_PLACEHOLDER}, found neither (is it the tokenizer of a Chameleon-family model?)`,
    );
  const renamed = (name: string) => (name === IMAGE_PLACEHOLDER ? "<image>" : name);
  const vocab = Object.fromEntries(
    Object.entries(tokenizer.model.vocab).map(([name, id]) => [renamed(name), id]),
  );
  const added_tokens = tokenizer.added_tokens.map((token) => ({ ...token, content: renamed(token.content) }));
  return { ...tokenizer, added_tokens, model: { ...tokenizer.model, vocab } };
}

/** Known settings under their present names, rotary settings in the place of `transformers` 5, the rest unchanged. */
function configToJson(
  config: z.output<typeof chameleonConfigSchema>,
  vqgan: VqganConfig,
): Record<string, unknown> {
  const decoder = decoderFromJson(config);
  const { rope_theta, rope_scaling, ...sizes } = decoderToJson(decoder);
  const { rope_theta: _theta, rope_scaling: _scaling, ...rest } = config;
  return {
    ...rest,
    ...sizes,
    architectures: ["ChameleonForConditionalGeneration"],
    rope_parameters: rope_scaling
      ? { rope_type: "linear", rope_theta, factor: rope_scaling.factor }
      : { rope_type: "default", rope_theta },
    vq_config: { ...vqganToJson(vqgan), model_type: "chameleon_vqgan" },
  };
}

/** Adds a template that begins sequences with `<s>`, as Chameleon's, if the tokenizer has no template. */
function withBos(tokenizer: TokenizerFile, bos: number): TokenizerFile {
  if (tokenizer.post_processor) return tokenizer;
  const begin = { SpecialToken: { id: "<s>", type_id: 0 } };
  const post_processor = {
    type: "TemplateProcessing",
    single: [begin, { Sequence: { id: "A", type_id: 0 } }],
    pair: [begin, { Sequence: { id: "A", type_id: 0 } }, begin, { Sequence: { id: "B", type_id: 0 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [bos], tokens: ["<s>"] } },
  };
  return { ...tokenizer, post_processor };
}

const tokenizerConfig = (maxPositions: number) => ({
  // Llama's class would replace the pre-tokenizer of the file.
  tokenizer_class: "PreTrainedTokenizerFast",
  processor_class: "ChameleonProcessor",
  bos_token: "<s>",
  eos_token: "</s>",
  pad_token: "<pad>",
  unk_token: "<unk>",
  sep_token: "<reserved08706>",
  image_token: "<image>",
  boi_token: "<racm3:break>",
  eoi_token: "<eoss>",
  clean_up_tokenization_spaces: false,
  model_max_length: maxPositions,
});

/** Our default preprocessing: a square center crop, resized with Lanczos-3, from [0, 255] to [−1, 1]. */
const ownPreprocessing = ({ resolution }: VqganConfig): Preprocessing => ({
  ...metaPreprocessing,
  size: resolution,
  crop: { width: resolution, height: resolution },
});

const pictureConfig = ({ size, filter, crop, scale, mean, std }: Preprocessing) => ({
  image_processor_type: "ChameleonImageProcessor",
  processor_class: "ChameleonProcessor",
  do_convert_rgb: true,
  do_resize: true,
  size: typeof size === "number" ? { shortest_edge: size } : { height: size.height, width: size.width },
  resample: filters.indexOf(filter),
  do_center_crop: crop !== undefined,
  ...(crop && { crop_size: { height: crop.height, width: crop.width } }),
  do_rescale: true,
  rescale_factor: scale,
  do_normalize: true,
  image_mean: mean,
  image_std: std,
});
