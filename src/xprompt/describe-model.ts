/** @file What a model folder holds and needs, told without loading it. */
import { join } from "node:path";
import { z } from "zod";
import {
  chameleonConfigSchema,
  type DecoderConfig,
  decoderFromJson,
  vqganFromJson,
} from "../chameleon/config.ts";
import { VQ_PREFIX } from "../chameleon/image-tokenizer.ts";
import { chameleonMemory } from "../chameleon/memory.ts";
import { columnsOf, isQuantizable } from "../chameleon/quantize.ts";
import { codesPerImage } from "../chameleon/vqgan.ts";
import { readJson, sha256File } from "../runtime/files.ts";
import type { MemoryNeed } from "../runtime/memory.ts";
import { openWeights } from "../runtime/weights.ts";
import { fingerprintOf, modelConfigFromJson, modelConfigSchema } from "./config.ts";
import type { XPromptConfig } from "./sequence.ts";

export interface ModelDescription {
  readonly folder: string;
  /** Names weights and sizes of a model that has learned X-Prompt. */
  readonly fingerprint?: string;
  readonly parameters: { readonly total: number; readonly decoder: number; readonly imageTokenizer: number };
  /** How the weights are stored. */
  readonly weights: {
    readonly files: number;
    readonly bytes: number;
    /** Bits of the quantized matrices. */
    readonly bits?: number;
    /** Numbers of tensors of each type. */
    readonly types: Readonly<Record<string, number>>;
  };
  readonly picture: { readonly size: number; readonly codes: number; readonly codebook: number };
  readonly decoder: DecoderConfig;
  /** Sizes of the method, where the model has learned it. */
  readonly xprompt?: XPromptConfig;
  /** Bytes. */
  readonly memory: MemoryNeed;
}

/**
 * Describes a folder of the family: plain Chameleon or one that has learned X-Prompt, in one file or in shards, in
 * any precision.
 * @throws XPromptError when its configuration or weights are missing or broken
 */
export async function describeModel(folder: string): Promise<ModelDescription> {
  const path = join(folder, "config.json");
  const json = await readJson(path, chameleonConfigSchema, "model config");
  const sizes = { decoder: decoderFromJson(json), image: vqganFromJson(json.vq_config) };
  const weights = await openWeights(folder);
  await weights.close();
  const bits = sizes.decoder.quantization?.bits;
  const types: Record<string, number> = {};
  let [decoder, imageTokenizer, bytes] = [0, 0, 0];
  for (const [name, { dtype, shape, byteLength }] of weights.tensors) {
    types[dtype] = (types[dtype] ?? 0) + 1;
    bytes += byteLength;
    if (bits && isQuantizable(name)) decoder += shape[0]! * columnsOf(name, sizes.decoder);
    else if (!name.endsWith(".weight_scale")) {
      const numbers = shape.reduce((product, size) => product * size, 1);
      if (name.startsWith(`${VQ_PREFIX}.`)) imageTokenizer += numbers;
      else decoder += numbers;
    }
  }
  return {
    folder,
    ...(await ofXPrompt(folder)),
    parameters: { total: decoder + imageTokenizer, decoder, imageTokenizer },
    weights: { files: weights.files.size, bytes, ...(bits && { bits }), types },
    picture: {
      size: sizes.image.resolution,
      codes: codesPerImage(sizes.image),
      codebook: sizes.image.codes,
    },
    decoder: sizes.decoder,
    memory: chameleonMemory(sizes, weights.tensors),
  };
}

/** What a model that has learned X-Prompt has besides. */
async function ofXPrompt(folder: string): Promise<Pick<ModelDescription, "fingerprint" | "xprompt">> {
  const path = join(folder, "config.json");
  if (!("xprompt" in (await readJson(path, z.looseObject({}), "model config")))) return {};
  const config = modelConfigFromJson(await readJson(path, modelConfigSchema, "model config"));
  const checksum = config.checksum ?? (await sha256File(join(folder, "model.safetensors"), "weights"));
  return { fingerprint: fingerprintOf(config, checksum), xprompt: config.xprompt };
}
