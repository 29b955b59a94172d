/**
 * @file Reads the image tokenizers of published Chameleon-family checkpoints, checks them, and converts their tensor
 * names. There are three layouts:
 *
 * | layout | encoder | decoder | code vectors |
 * |---|---|---|---|
 * | Hugging Face's Chameleon: `model.vqmodel.*` | yes | rarely; levels as in Meta's | unchanged |
 * | Meta's `vqgan.ckpt`: names of taming-transformers, with its loss | yes | `up.0` is the highest resolution | unchanged |
 * | Hugging Face's Janus: `model.vqmodel.*`, or without prefix | yes | `up.0` is the lowest resolution | scaled to length 1 |
 *
 * Encoder, `quant_conv` and codebook always come from the model's own folder, so that codes are those of the language
 * model's training. Decoder and `post_quant_conv` come from the first place that has a decoder.
 */
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { formatShape, ShapeError } from "../../graph/index.ts";
import { attempt, readJson } from "../../runtime/files.ts";
import { PyTorchFile } from "../../runtime/pytorch.ts";
import { quote } from "../../runtime/safetensors-header.ts";
import { openWeights } from "../../runtime/weights.ts";
import { imageTokenizerParameters } from "../model/parameters.ts";
import { isOfImages, VQ_PREFIX } from "../tokenizers/image-tokenizer.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import { vqConfigSchema, vqganFromJson } from "./config.ts";
import type { Weight } from "./folder.ts";

export interface OpenImageTokenizerOptions {
  /**
   * Source of the decoder if the model's folder has none: Meta's `vqgan.ckpt`, or a folder with a VQ-VAE in Hugging
   * Face's layout. Defaults to `vqgan.ckpt`, `tokenizer/vqgan.ckpt`, `vqvae/` or `image_tokenizer/` in the folder.
   */
  readonly imageTokenizer?: string;
}

/** The input of `ImageTokenizer`. */
export interface OpenedImageTokenizer {
  readonly config: VqganConfig;
  /** By our names, `model.vqmodel.…`. Without a decoder, `decoder.*` and `post_quant_conv.*` are missing. */
  readonly weights: Map<string, Weight>;
}

/** Places in a model's folder that may have an image tokenizer, in order of precedence. */
export const imageTokenizerPlaces = [
  "vqgan.ckpt",
  "tokenizer/vqgan.ckpt",
  "vqvae",
  "image_tokenizer",
] as const;

/** The tensors of one place, by our names without the prefix. */
interface Source {
  readonly path: string;
  /** The configuration in this place, if there is one. */
  readonly config?: VqganConfig;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly read: Read }>;
  close(): Promise<void>;
}
type Read = () => Promise<Float32Array<ArrayBuffer>>;

const codebook = "quantize.embedding.weight";
const isOfDecoder = (name: string) => name.startsWith("decoder.") || name.startsWith("post_quant_conv.");
const hasEncoder = ({ tensors }: Source) => tensors.has("encoder.conv_in.weight");
const hasDecoder = ({ tensors }: Source) => tensors.has("decoder.conv_in.weight");

/**
 * Reads the image tokenizer of a checkpoint folder. All names, shapes and sizes are checked before any weight is read.
 * @param folder a Chameleon or Janus checkpoint in Hugging Face's layout
 * @throws XPromptError when there is no encoder, a tensor is missing, unknown or of another shape, the configuration is
 * not supported, or decoder and encoder belong to different tokenizers.
 */
export async function openImageTokenizer(
  folder: string,
  { imageTokenizer }: OpenImageTokenizerOptions = {},
): Promise<OpenedImageTokenizer> {
  return withSources(folder, imageTokenizer, async (own, other) => {
    const { config, tensors } = await combine(own, other);
    const weights = new Map<string, Weight>();
    for (const [name, { shape, read }] of tensors)
      weights.set(`${VQ_PREFIX}.${name}`, { dtype: "float32", shape, data: await read() });
    return { config, weights };
  });
}

/**
 * The sizes of the image tokenizer of a checkpoint folder. Makes the same checks as `openImageTokenizer`, without
 * reading the weights.
 * @throws XPromptError as `openImageTokenizer`
 */
export async function checkImageTokenizer(folder: string): Promise<VqganConfig> {
  return withSources(folder, undefined, async (own, other) => (await combine(own, other)).config);
}

async function withSources<T>(
  folder: string,
  imageTokenizer: string | undefined,
  work: (own: Source, other: Source | undefined) => Promise<T>,
): Promise<T> {
  const own = await openFolder(folder);
  let other: Source | undefined;
  try {
    const place = imageTokenizer ?? (hasDecoder(own) ? undefined : await findPlace(folder));
    other = place === undefined ? undefined : await openPlace(place);
    return await work(own, other);
  } finally {
    await own.close();
    await other?.close();
  }
}

/** Finds and checks the source tensor of every parameter of the network. */
async function combine(own: Source, other: Source | undefined) {
  const sources = other ? [other, own] : [own];
  const from = hasEncoder(own) ? own : sources.find(hasEncoder);
  if (!from)
    throw new XPromptError(
      `reading the image tokenizer of ${own.path}: expected an encoder, got none (put Meta's vqgan.ckpt into the folder, or pass it as the image tokenizer)`,
    );
  const decoderFrom = sources.find(hasDecoder);
  if (other && decoderFrom !== other)
    throw new XPromptError(
      `reading the image tokenizer ${other.path}: expected a decoder, got none (use Meta's vqgan.ckpt, or a VQ-VAE with its decoder)`,
    );
  const config = decoderFrom ? merge(own, decoderFrom) : own.config!;
  const chosen = new Map<string, { source: Source; shape: readonly number[]; read: Read }>();
  for (const [name, shape] of shapesOf(config, decoderFrom !== undefined, own.path)) {
    const source = isOfDecoder(name) ? decoderFrom! : from;
    chosen.set(name, { source, shape, read: checked(source, name, shape) });
  }
  refuseLeftOver(from, (name) => !isOfDecoder(name), chosen);
  if (decoderFrom) refuseLeftOver(decoderFrom, isOfDecoder, chosen);
  if (decoderFrom && decoderFrom !== from && decoderFrom.tensors.has(codebook))
    await checkCodebooks(from, decoderFrom, chosen.get(codebook)!.shape);
  return { config, tensors: chosen };
}

/** The sizes of the folder's own network, with the decoder's own settings if it has a configuration. */
function merge(own: Source, decoderFrom: Source): VqganConfig {
  const config = own.config!;
  const theirs = decoderFrom.config;
  if (decoderFrom === own || !theirs) return config;
  for (const key of [
    ...(["resolution", "baseChannels", "channelMultiplier", "residualBlocks", "latentChannels"] as const),
    ...(["embedDim", "codes"] as const),
  ])
    if (JSON.stringify(config[key]) !== JSON.stringify(theirs[key]))
      throw new XPromptError(
        `reading the image tokenizer ${decoderFrom.path}: expected ${key} ${quote(config[key])} as in ${own.path}, got ${quote(theirs[key])} (it belongs to another model)`,
      );
  const attentive = theirs.decoderAttentionResolutions ?? theirs.attentionResolutions ?? [];
  const same = quote(attentive) === quote(config.attentionResolutions ?? []);
  return {
    ...config,
    ...(same ? {} : { decoderAttentionResolutions: attentive }),
    ...(theirs.unitCodes && { unitCodes: true }),
  };
}

/** Shapes of all parameters of the network, by our names without the prefix. */
function shapesOf(
  config: VqganConfig,
  withDecoder: boolean,
  path: string,
): ReadonlyMap<string, readonly number[]> {
  try {
    return imageTokenizerParameters(config, { prefix: "", isWhole: withDecoder });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new XPromptError(
      `reading the image tokenizer of ${path}: expected sizes in vq_config that fit together, got: ${error.message} (does vq_config belong to these weights?)`,
    );
  }
}

function checked(source: Source, name: string, shape: readonly number[]): Read {
  const found = source.tensors.get(name);
  const doing = `reading the image tokenizer of ${source.path}: ${quote(name)}`;
  if (!found)
    throw new XPromptError(
      `${doing}: expected ${formatShape(shape)}, got none (is the checkpoint complete?)`,
    );
  if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i]))
    throw new XPromptError(
      `${doing}: expected ${formatShape(shape)}, got ${formatShape(found.shape)} (does vq_config belong to these weights?)`,
    );
  return found.read;
}

/** Refuses unknown tensors of the network: they would change its results. */
function refuseLeftOver(
  source: Source,
  wanted: (name: string) => boolean,
  chosen: ReadonlyMap<string, unknown>,
): void {
  const more = [...source.tensors.keys()].find((name) => wanted(name) && !chosen.has(name));
  if (more !== undefined)
    throw new XPromptError(
      `reading the image tokenizer of ${source.path}: expected no tensor ${quote(more)} with this vq_config, got one (does vq_config belong to these weights?)`,
    );
}

/** Checks that both codebooks are equal, up to rounding to 16 bits if one is stored so. */
async function checkCodebooks(a: Source, b: Source, shape: readonly number[]): Promise<void> {
  const [first, second] = await Promise.all([a, b].map((source) => checked(source, codebook, shape)()));
  // bfloat16, the least precise type of weights, keeps 8 bits; float16 is less precise only near 0.
  const differ = (x: number, y: number) =>
    !(Math.abs(x - y) <= 2 ** -7 * Math.max(Math.abs(x), Math.abs(y)) + 2 ** -24);
  const at = first!.findIndex((x, i) => differ(x, second![i]!));
  if (at < 0) return;
  throw new XPromptError(
    `reading the image tokenizer ${b.path}: expected the codebook of ${a.path}, got another from code ${Math.floor(at / shape[1]!)} on (it belongs to another model)`,
  );
}

async function findPlace(folder: string): Promise<string | undefined> {
  for (const place of imageTokenizerPlaces)
    if (await stat(join(folder, place)).catch(() => undefined)) return join(folder, place);
  return undefined;
}

async function openPlace(path: string): Promise<Source> {
  const found = await attempt(`reading the image tokenizer ${path}`, path, () => stat(path));
  if (!found.isDirectory()) return openCheckpoint(path);
  const inside = await findPlace(path);
  return inside !== undefined && basename(inside) === "vqgan.ckpt"
    ? openCheckpoint(inside)
    : openFolder(path);
}

/** Reads Meta's `vqgan.ckpt`. Its discriminator and other training state are not read. */
async function openCheckpoint(path: string): Promise<Source> {
  const file = await PyTorchFile.open(path);
  const named = [...file.tensors].map(([name, { shape }]) => ({
    name,
    shape,
    read: () => file.readFloat32(name),
  }));
  return { path, tensors: ofNetwork(named), close: () => file.close() };
}

/** Reads a folder in Hugging Face's layout. */
async function openFolder(path: string): Promise<Source> {
  const config = await readConfig(path);
  const stored = await openWeights(path);
  const isWhole = [...stored.tensors.keys()].some(isOfImages);
  const prefix = isWhole ? `${VQ_PREFIX}.` : "";
  const named = [...stored.tensors].flatMap(([name, { shape }]) =>
    name.startsWith(prefix)
      ? [{ name: name.slice(prefix.length), shape, read: () => stored.readFloat32(name) }]
      : [],
  );
  return { path, config, tensors: ofNetwork(named), close: () => stored.close() };
}

/**
 * The tensors of the network. Janus numbers the decoder's levels from the lowest resolution; its last level is the one
 * without upsampling.
 */
function ofNetwork(
  named: readonly { name: string; shape: readonly number[]; read: Read }[],
): Map<string, { shape: readonly number[]; read: Read }> {
  const network = named.filter(({ name }) =>
    /^(encoder|decoder|quantize|quant_conv|post_quant_conv)\./.test(name),
  );
  const levels = network.flatMap(({ name }) => /^decoder\.up\.(\d+)\./.exec(name)?.[1] ?? []).map(Number);
  const last = Math.max(0, ...levels);
  const isLowestFirst = network.some(({ name }) => name === "decoder.up.0.upsample.conv.weight");
  const rename = (name: string) =>
    isLowestFirst
      ? name.replace(/^(decoder\.up\.)(\d+)/, (_, up, level) => `${up}${last - Number(level)}`)
      : name;
  return new Map(network.map(({ name, ...tensor }) => [rename(name), tensor]));
}

/** Settings of Hugging Face's configurations that do not change the network's results. */
const harmless = new Set(
  [
    "model_type architectures transformers_version torch_dtype dtype _name_or_path _commit_hash",
    "_attn_implementation_autoset attn_implementation dropout initializer_range beta return_dict use_cache",
    "tie_word_embeddings id2label label2id problem_type is_encoder_decoder chunk_size_feed_forward",
    "max_length min_length num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p",
    "repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size num_return_sequences",
    "quantization_config",
    // Meta's own names, which the conversion of its release keeps.
    "out_channels ch out_ch ch_mult n_embed z_channels double_z ddconfig lossconfig ckpt_path image_key remap",
    "sane_index_shape colorize_nlabels monitor",
  ].flatMap((line) => line.split(" ")),
);

/** Janus's variant: edge length in codes instead of pixels, and attention at the lowest resolution. */
const janusSchema = z
  .looseObject({
    ...vqConfigSchema.shape,
    embed_dim: z.int().min(1).default(8),
    num_embeddings: z.int().min(1).default(16384),
    num_patches: z.int().min(1).default(32),
    out_channels: z.literal(3).default(3),
  })
  .transform((json) => ({
    ...json,
    resolution: json.num_patches * 2 ** (json.channel_multiplier.length - 1),
    attn_resolutions: [json.num_patches],
    unit_codes: true,
  }));
/** Settings of the projector to Janus's language model, which is not part of the tokenizer. */
const janusProjector = ["projection_dim", "num_hidden_layers", "hidden_act", "image_token_embed_dim"];
const janusKeys = [...Object.keys(vqConfigSchema.shape), "num_patches", "out_channels", ...janusProjector];

/** The configuration of the tokenizer in a folder: `vq_config`, or all of `config.json` if it describes only that. */
async function readConfig(folder: string): Promise<VqganConfig> {
  const path = join(folder, "config.json");
  const json = await readJson(path, z.looseObject({ model_type: z.string().optional() }), "model config");
  const isAlone = json.model_type?.endsWith("_vqgan") ?? false;
  const part = isAlone ? json : (json.vq_config ?? {});
  const isJanus = json.model_type?.startsWith("janus") ?? false;
  const known = isJanus ? janusKeys : Object.keys(vqConfigSchema.shape);
  const place = isAlone ? "" : "vq_config.";
  const parsed = (isJanus ? janusSchema : vqConfigSchema).safeParse(part);
  if (!parsed.success) {
    const { path: at, message } = parsed.error.issues[0]!;
    const got = at.reduce<unknown>((value, key) => Object(value)[key], part);
    throw new XPromptError(
      `reading model config ${path}: ${place}${at.join(".")}: ${message}, got ${quote(got)} (this tokenizer is not supported)`,
    );
  }
  for (const [key, value] of Object.entries(part))
    if (!known.includes(key) && !harmless.has(key) && value !== null && value !== false && !isEmpty(value))
      throw new XPromptError(
        `reading model config ${path}: expected only known settings in vq_config, got ${place}${key} = ${quote(value)} (it may change what the codes mean; remove it if it does not)`,
      );
  return vqganFromJson(parsed.data);
}

const isEmpty = (value: unknown) => typeof value === "object" && Object.keys(value ?? {}).length === 0;
