/** @file What a model folder holds: sizes, storage of the weights, and the memory that the model needs. */
import type { DecoderConfig } from "../chameleon/checkpoint/config.ts";
import { weightsChecksum } from "../chameleon/checkpoint/folder.ts";
import { columnsOf, isQuantizable } from "../chameleon/checkpoint/quantize.ts";
import { chameleonMemory } from "../chameleon/model/memory.ts";
import { isOfImages } from "../chameleon/tokenizers/image-tokenizer.ts";
import { codesPerImage } from "../chameleon/tokenizers/vqgan.ts";
import { product } from "../numbers.ts";
import type { MemoryNeed } from "../runtime/memory.ts";
import { checkFolder } from "./check-folder.ts";
import { fingerprintOf } from "./config.ts";
import type { XPromptConfig } from "./sequence.ts";

export interface ModelDescription {
  readonly folder: string;
  /** Identifies weights and sizes of a model with X-Prompt. */
  readonly fingerprint?: string;
  readonly parameters: { readonly total: number; readonly decoder: number; readonly imageTokenizer: number };
  /** Storage of the weights. */
  readonly weights: {
    readonly files: number;
    readonly bytes: number;
    /** Bits per quantized weight. */
    readonly bits?: number;
    /** Quantized weights that share a scale. */
    readonly blockSize?: number;
    /** Number of tensors per data type. */
    readonly types: Readonly<Record<string, number>>;
  };
  readonly picture: { readonly size: number; readonly codes: number; readonly codebook: number };
  readonly decoder: DecoderConfig;
  /** Sizes of the method, if the model has X-Prompt. */
  readonly xprompt?: XPromptConfig;
  /** In bytes. */
  readonly memory: MemoryNeed;
}

/**
 * Describes a model folder: plain Chameleon or with X-Prompt, in one file or in shards, in any precision.
 * @throws XPromptError when the model could not be loaded (too little memory is no error here)
 */
export async function describeModel(folder: string): Promise<ModelDescription> {
  const { config, xprompt, text, preprocessing, weights } = await checkFolder(folder);
  const { decoder: sizes, image } = config;
  const { bits, blockSize } = sizes.quantization ?? {};
  const types: Record<string, number> = {};
  let [decoder, imageTokenizer, bytes] = [0, 0, 0];
  for (const [name, { dtype, shape, byteLength }] of weights.tensors) {
    types[dtype] = (types[dtype] ?? 0) + 1;
    bytes += byteLength;
    if (bits && isQuantizable(name)) decoder += shape[0]! * columnsOf(name, sizes);
    else if (!name.endsWith(".weight_scale")) {
      const numbers = product(shape);
      if (isOfImages(name)) imageTokenizer += numbers;
      else decoder += numbers;
    }
  }
  return {
    folder,
    ...(xprompt && {
      fingerprint: fingerprintOf(xprompt, {
        weights: await weightsChecksum(folder, xprompt.checksum),
        tokenizer: text.checksum,
        preprocessing,
      }),
      xprompt: xprompt.xprompt,
    }),
    parameters: { total: decoder + imageTokenizer, decoder, imageTokenizer },
    weights: { files: weights.files.length, bytes, ...(bits && { bits, blockSize }), types },
    picture: { size: image.resolution, codes: codesPerImage(image), codebook: image.codes },
    decoder: sizes,
    memory: chameleonMemory({ decoder: sizes, image }, weights.tensors),
  };
}
