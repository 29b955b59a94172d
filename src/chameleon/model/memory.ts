/** @file Estimates the memory that a Chameleon-family model needs, from its configuration and weight headers. */
import { product } from "../../numbers.ts";
import { type MemoryNeed, memoryNeed } from "../../runtime/memory.ts";
import type { TensorInfo } from "../../runtime/safetensors.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { isScale } from "../checkpoint/quantize.ts";
import { isOfImages, pictureBytes } from "../tokenizers/image-tokenizer.ts";
import type { VqganConfig } from "../tokenizers/vqgan.ts";
import { cacheBytes, roomFor } from "./cache.ts";
import { PREFILL_CHUNK } from "./decoder.ts";

/** Sizes of both parts of a model. */
export interface Sizes {
  readonly decoder: DecoderConfig;
  readonly image: VqganConfig;
}

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Memory for one sequence of the model's full length and the decoding of one picture. */
export function chameleonMemory(
  { decoder, image }: Sizes,
  tensors: ReadonlyMap<string, TensorInfo>,
): MemoryNeed {
  let weights = 0;
  for (const [name, info] of tensors)
    weights +=
      decoder.quantization && !isOfImages(name) ? quantizedBytes(name, info) : FLOAT * product(info.shape);
  const { hiddenSize, intermediateSize, heads, maxPositions } = decoder;
  // The largest activations of a layer: stacked gate and up projections, or the scores of all heads.
  const widest = Math.max(2 * intermediateSize + 4 * hiddenSize, heads * maxPositions);
  return memoryNeed({
    weights,
    cachePerToken: cacheBytes(decoder, 1),
    cache: cacheBytes(decoder, maxPositions),
    activations: Math.max(2 * FLOAT * Math.min(maxPositions, PREFILL_CHUNK) * widest, pictureBytes(image)),
  });
}

/** A quantized decoder runs as it is stored, but onnxruntime keeps a second number beside each scale. */
export const quantizedBytes = (name: string, { byteLength }: TensorInfo): number =>
  isScale(name) ? 2 * byteLength : byteLength;

/**
 * Bytes of sequences in one batch: their caches, with preallocated slots, and the activations of a step.
 * @param perStep tokens per row of a step
 */
export function sequencesMemory(config: DecoderConfig, rows: number, tokens: number, perStep = 1): number {
  const perToken = FLOAT * (config.heads * tokens + config.vocabularySize); // scores and logits
  return rows * (cacheBytes(config, roomFor(tokens)) + 2 * perStep * perToken);
}
