/**
 * @file Model folders of ours: `config.json`, `model.safetensors` (float16) and `tokenizer.json`. The weights and the
 * tokenizer are verified against the checksums in the configuration, so that a damaged file is never used.
 */
import { realpath } from "node:fs/promises";
import { join, parse } from "node:path";
import { z } from "zod";
import type { Initializer } from "../../graph/index.ts";
import type { Preprocessing } from "../../image/index.ts";
import { readJson, sha256File, writeFileAtomic, writeFolderAtomic, writeJson } from "../../runtime/files.ts";
import { type Dtype, type TensorInfo, writeSafetensors } from "../../runtime/safetensors.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import type { Verification } from "../../runtime/verified.ts";
import { openWeights, type WeightFolder } from "../../runtime/weights.ts";
import { ImageTokenizer, isOfImages } from "../tokenizers/image-tokenizer.ts";
import { TextTokenizer } from "../tokenizers/text-tokenizer.ts";
import { tokenizerChecksum } from "../tokenizers/tokenizer-file.ts";
import { checksums, vqConfigSchema, vqganFromJson } from "./config.ts";
import { copyProcessor, preprocessingOf } from "./preprocessing.ts";
import { startVerifying } from "./verify.ts";

/** A weight in memory. */
export interface Weight {
  readonly dtype: "float32";
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface ModelFolder {
  /** `config.json`; the checksums are added to it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: ReadonlyMap<string, Weight>;
  /** `tokenizer.json` */
  readonly tokenizer: unknown;
  /** Folder of the base model, whose image processor files are copied. */
  readonly base?: string;
}

/** Writes a model folder atomically; replaces an older one. */
export async function writeModelFolder(
  path: string,
  { config, weights, tokenizer, base }: ModelFolder,
): Promise<void> {
  const write = async (folder: string) => {
    const file = join(folder, "model.safetensors");
    const tensors = [...weights].map(([name, { shape, data }]) => ({
      name,
      dtype: "F16" as const,
      shape,
      data,
    }));
    await writeSafetensors(file, tensors, { format: "pt" });
    const checked = {
      ...config,
      weights_sha256: await sha256File(file, "weights"),
      tokenizer_sha256: tokenizerChecksum(tokenizer),
    };
    await writeJson(join(folder, "config.json"), checked);
    await writeFileAtomic(join(folder, "tokenizer.json"), `${JSON.stringify(tokenizer)}\n`);
    if (base !== undefined) await copyProcessor(base, folder);
  };
  await writeFolderAtomic(path, write, { replace: true });
}

/** `config.json` of a folder with at least the tokenizers. */
const tokenizerConfigSchema = z.looseObject({
  vq_config: vqConfigSchema,
  ...checksums,
});

/** The two tokenizers of a model, for pictures and text. */
export interface Tokenizers {
  readonly image: ImageTokenizer;
  readonly text: TextTokenizer;
  /** Preprocessing of pictures, if the folder has a processor. */
  readonly preprocessing?: Preprocessing;
}

/**
 * Loads the tokenizers of a model folder, which may lack a language model.
 * @param options `resolution`: edge length of the pictures in pixels, if different from the image tokenizer's training
 */
export async function loadTokenizers(
  folder: string,
  { resolution, ...options }: SessionOptions & { readonly resolution?: number } = {},
): Promise<Tokenizers> {
  const config = await readJson(join(folder, "config.json"), tokenizerConfigSchema, "model config");
  const vqgan = vqganFromJson(config.vq_config);
  const weights = await readWeights(folder, config.weights_sha256, (name) => isOfImages(name));
  const sized = resolution === undefined ? vqgan : { ...vqgan, resolution };
  // The processor has a fixed resolution.
  const preprocessing =
    sized.resolution === vqgan.resolution ? await preprocessingOf(folder, vqgan) : undefined;
  const image = new ImageTokenizer(sized, weights, { ...options, preprocessing });
  return { image, text: await loadTextTokenizer(folder, config), preprocessing };
}

/** The text tokenizer of a folder, verified against the checksum in `config.json` if there is one. */
export const loadTextTokenizer = (
  folder: string,
  { tokenizer_sha256: checksum }: { readonly tokenizer_sha256?: string },
): Promise<TextTokenizer> => TextTokenizer.load(join(folder, "tokenizer.json"), { checksum });

/**
 * Reads the weights of a folder, or those that `wanted` selects, as float32.
 * @param checksum expected SHA-256 of `model.safetensors`, if known
 * @throws XPromptError when the file is damaged
 */
export async function readWeights(
  folder: string,
  checksum: string | undefined,
  wanted: (name: string) => boolean = () => true,
): Promise<Map<string, Weight>> {
  const { weights, verified } = await read(folder, checksum, wanted, async (stored, name, { shape }) => ({
    dtype: "float32" as const,
    shape,
    data: await stored.readFloat32(name),
  }));
  await verified;
  return weights;
}

/** Weight types that need not be read: onnxruntime maps that part of the file into memory. */
const MAPPED: Partial<Record<Dtype, Initializer["dtype"]>> = { U8: "uint8", F32: "float32", F16: "float16" };

/**
 * Like `readWeights`, but the weights of the decoder stay in their files, where onnxruntime reads them: they need not pass
 * through the memory of this process. Those of the image tokenizer are read, and bfloat16, which onnxruntime lacks, and
 * shards outside the folder of the first one. The file may still be being verified when this returns.
 */
export async function readInitializers(
  path: string,
  checksum: string | undefined,
  wanted: (name: string) => boolean = () => true,
): Promise<ReadWeights<Initializer>> {
  let home: string | undefined;
  const places = new Map<string, string>();
  const placeOf = async (file: string) => {
    const place = places.get(file) ?? (await realpath(file));
    places.set(file, place);
    return place;
  };
  return read<Initializer>(path, checksum, wanted, async (stored, name, info) => {
    const { shape, byteOffset, byteLength } = info;
    const dtype = MAPPED[info.dtype];
    const inMemory = async () => ({ dtype: "float32" as const, shape, data: await stored.readFloat32(name) });
    if (!dtype || isOfImages(name)) return inMemory();
    // onnxruntime takes files of one folder, and refuses links that leave it, as in Hugging Face's cache.
    const { dir: folder, base: file } = parse(await placeOf(stored.pathOf(name)));
    home ??= folder;
    if (folder !== home) return inMemory();
    return { dtype, shape, data: { folder, file, offset: byteOffset, length: byteLength } };
  });
}

/** Weights by name, and the verification of their file. */
export interface ReadWeights<W> extends Verification {
  readonly weights: Map<string, W>;
}

async function read<W>(
  folder: string,
  checksum: string | undefined,
  wanted: (name: string) => boolean,
  weight: (stored: WeightFolder, name: string, info: TensorInfo) => Promise<W>,
): Promise<ReadWeights<W>> {
  const { verified } = await startVerifying(folder, checksum);
  try {
    await using stored = await openWeights(folder);
    const weights = new Map<string, W>();
    for (const [name, info] of stored.tensors)
      if (wanted(name)) weights.set(name, await weight(stored, name, info));
    return { weights, verified };
  } catch (error) {
    await verified; // damage explains everything else
    throw error;
  }
}

/** The checksum of a folder's weights: the recorded one, else computed from the file. */
export async function weightsChecksum(folder: string, recorded: string | undefined): Promise<string> {
  return recorded ?? sha256File(join(folder, "model.safetensors"), "weights");
}
