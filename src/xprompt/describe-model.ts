/** @file What a model folder holds and needs, told without loading it. */
import { join } from "node:path";
import { cacheBytes } from "../chameleon/cache.ts";
import { codesPerImage } from "../chameleon/vqgan.ts";
import { readJson, sha256File } from "../runtime/files.ts";
import { type MemoryNeed, memoryNeed } from "../runtime/memory.ts";
import { openWeights } from "../runtime/weights.ts";
import { fingerprintOf, type ModelConfig, modelConfigFromJson, modelConfigSchema } from "./config.ts";

export interface ModelDescription {
  readonly folder: string;
  readonly fingerprint: string;
  readonly parameters: { readonly total: number; readonly decoder: number; readonly imageTokenizer: number };
  readonly picture: { readonly size: number; readonly codes: number; readonly codebook: number };
  readonly decoder: ModelConfig["decoder"];
  readonly xprompt: ModelConfig["xprompt"];
  /** Bytes. */
  readonly memory: MemoryNeed;
}

/** @throws XPromptError when the folder's configuration or weights are missing or broken */
export async function describeModel(folder: string): Promise<ModelDescription> {
  const config = modelConfigFromJson(
    await readJson(join(folder, "config.json"), modelConfigSchema, "model config"),
  );
  const stored = await openWeights(folder);
  await stored.close();
  let [decoder, imageTokenizer] = [0, 0];
  for (const [name, { shape }] of stored.tensors) {
    const size = shape.reduce((product, dim) => product * dim, 1);
    if (name.startsWith("model.vqmodel.")) imageTokenizer += size;
    else decoder += size;
  }
  const checksum = config.checksum ?? (await sha256File(join(folder, "model.safetensors"), "weights"));
  return {
    folder,
    fingerprint: fingerprintOf(config, checksum),
    parameters: { total: decoder + imageTokenizer, decoder, imageTokenizer },
    picture: {
      size: config.image.resolution,
      codes: codesPerImage(config.image),
      codebook: config.image.codes,
    },
    decoder: config.decoder,
    xprompt: config.xprompt,
    memory: memoryOf(config, decoder + imageTokenizer),
  };
}

/** Memory for one picture drawn with one branch. */
function memoryOf({ decoder, image, xprompt }: ModelConfig, parameters: number): MemoryNeed {
  const bytes = Float32Array.BYTES_PER_ELEMENT;
  const longest = 1 + xprompt.maxTextTokens + 2 * (codesPerImage(image) + 2) + xprompt.tokens;
  // The widest moment of a layer: stacked gate and up projections, or the scores of all heads.
  const widest = Math.max(2 * decoder.intermediateSize + 4 * decoder.hiddenSize, decoder.heads * longest);
  // The decoder of pictures at full resolution: a few copies of its widest level.
  const pixels = image.resolution ** 2 * image.baseChannels * (image.channelMultiplier[0] ?? 1);
  return memoryNeed({
    weights: parameters * bytes,
    cache: cacheBytes(decoder, decoder.maxPositions),
    activations: bytes * Math.max(2 * longest * widest, 6 * pixels),
  });
}
