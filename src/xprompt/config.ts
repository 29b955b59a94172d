/** @file `config.json` of a model that has learned X-Prompt: Chameleon's, and the sizes of the method. */
import { z } from "zod";
import {
  type DecoderConfig,
  decoderConfigSchema,
  decoderFromJson,
  decoderToJson,
  vqConfigSchema,
  vqganFromJson,
  vqganToJson,
} from "../chameleon/config.ts";
import type { VqganConfig } from "../chameleon/vqgan.ts";
import { sha256 } from "../runtime/files.ts";
import { type RecommendedSampling, recommendedSampling } from "./request.ts";
import { exampleMasks, type XPromptConfig } from "./sequence.ts";

export interface ModelConfig {
  readonly decoder: DecoderConfig;
  readonly image: VqganConfig;
  readonly xprompt: XPromptConfig;
  /** SHA-256 of `model.safetensors`, where the configuration has it. */
  readonly checksum?: string;
}

const recommended = recommendedSampling.shape;
const samplingSchema = z.strictObject({
  temperature: recommended.temperature,
  top_k: recommended.topK,
  top_p: recommended.topP,
  guidance: recommended.guidance,
});
type SamplingJson = z.output<typeof samplingSchema>;

export const modelConfigSchema = z
  .looseObject({
    model_type: z.literal("chameleon"),
    vq_config: vqConfigSchema,
    xprompt: z.strictObject({
      tokens: z.int().min(1),
      todo_position: z.int().min(1),
      max_text_tokens: z.int().min(0),
      mask: z.enum(exampleMasks).optional(),
      sampling: samplingSchema.extend({ words_alone: samplingSchema.optional() }).optional(),
    }),
    weights_sha256: z.string().optional(),
  })
  .and(decoderConfigSchema);

export function modelConfigFromJson(json: z.output<typeof modelConfigSchema>): ModelConfig {
  const { sampling } = json.xprompt;
  return {
    decoder: decoderFromJson(json),
    image: vqganFromJson(json.vq_config),
    xprompt: {
      tokens: json.xprompt.tokens,
      todoPosition: json.xprompt.todo_position,
      maxTextTokens: json.xprompt.max_text_tokens,
      mask: json.xprompt.mask,
      ...(sampling && {
        sampling: {
          ...samplingFromJson(sampling),
          ...(sampling.words_alone && { wordsAlone: samplingFromJson(sampling.words_alone) }),
        },
      }),
    },
    checksum: json.weights_sha256,
  };
}

export function modelConfigToJson({ decoder, image, xprompt }: ModelConfig): Record<string, unknown> {
  const { sampling } = xprompt;
  return {
    model_type: "chameleon",
    architectures: ["ChameleonForConditionalGeneration"],
    ...decoderToJson(decoder),
    vq_config: vqganToJson(image),
    xprompt: {
      tokens: xprompt.tokens,
      todo_position: xprompt.todoPosition,
      max_text_tokens: xprompt.maxTextTokens,
      ...(xprompt.mask === "causal" && { mask: xprompt.mask }),
      ...(sampling && {
        sampling: {
          ...samplingToJson(sampling),
          ...(sampling.wordsAlone && { words_alone: samplingToJson(sampling.wordsAlone) }),
        },
      }),
    },
  };
}

const samplingFromJson = ({ temperature, top_k, top_p, guidance }: SamplingJson): RecommendedSampling => ({
  temperature,
  topK: top_k,
  topP: top_p,
  guidance,
});

const samplingToJson = ({ temperature, topK, topP, guidance }: RecommendedSampling): SamplingJson => ({
  temperature,
  top_k: topK,
  top_p: topP,
  guidance,
});

/** Names a model by its sizes and the checksum of its weights; how it is drawn with changes nothing that it makes of examples. */
export function fingerprintOf(config: ModelConfig, checksum: string): string {
  const { sampling: _, ...xprompt } = config.xprompt;
  return sha256(JSON.stringify([modelConfigToJson({ ...config, xprompt }), checksum])).slice(0, 16);
}
