/** @file `config.json` of a model with X-Prompt: Chameleon's settings plus the sizes of the method. */
import { z } from "zod";
import {
  chameleonConfigSchema,
  type DecoderConfig,
  decoderFromJson,
  decoderToJson,
  MOST_POSITIONS,
  vqganFromJson,
  vqganToJson,
} from "../chameleon/checkpoint/config.ts";
import type { VqganConfig } from "../chameleon/tokenizers/vqgan.ts";
import { sha256 } from "../hash.ts";
import type { Preprocessing } from "../image/index.ts";
import { type RecommendedSampling, recommendedSampling } from "./request.ts";
import { exampleMasks, type XPromptConfig } from "./sequence.ts";

export interface ModelConfig {
  readonly decoder: DecoderConfig;
  readonly image: VqganConfig;
  readonly xprompt: XPromptConfig;
  /** SHA-256 of `model.safetensors`, if the configuration has it. */
  readonly checksum?: string;
  /** SHA-256 of the content of `tokenizer.json`, if the configuration has it. */
  readonly tokenizerChecksum?: string;
}

const recommended = recommendedSampling.shape;
const samplingSchema = z.strictObject({
  temperature: recommended.temperature,
  top_k: recommended.topK,
  top_p: recommended.topP,
  guidance: recommended.guidance,
  expected: recommended.expected,
  one_pass: recommended.onePass,
});
type SamplingJson = z.output<typeof samplingSchema>;
const recommendationSchema = samplingSchema.extend({ words_alone: samplingSchema.optional() });
type RecommendationJson = z.output<typeof recommendationSchema>;

const position = z.int().max(MOST_POSITIONS);
export const modelConfigSchema = chameleonConfigSchema.safeExtend({
  xprompt: z.strictObject({
    tokens: position.min(1),
    todo_position: position.min(1),
    max_text_tokens: position.min(0),
    mask: z.enum(exampleMasks).optional(),
    sampling: recommendationSchema.optional(),
  }),
});

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
      ...(sampling && { sampling: recommendationFromJson(sampling) }),
    },
    checksum: json.weights_sha256,
    tokenizerChecksum: json.tokenizer_sha256,
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
      ...(sampling && { sampling: recommendationToJson(sampling) }),
    },
  };
}

const recommendationFromJson = ({ words_alone, ...sampling }: RecommendationJson): RecommendedSampling => ({
  ...samplingFromJson(sampling),
  ...(words_alone && { wordsAlone: samplingFromJson(words_alone) }),
});

const recommendationToJson = ({ wordsAlone, ...sampling }: RecommendedSampling): RecommendationJson => ({
  ...samplingToJson(sampling),
  ...(wordsAlone && { words_alone: samplingToJson(wordsAlone) }),
});

const samplingFromJson = ({ top_k, top_p, one_pass, ...same }: SamplingJson): RecommendedSampling => ({
  ...same,
  topK: top_k,
  topP: top_p,
  onePass: one_pass,
});

const samplingToJson = ({ topK, topP, onePass, ...same }: RecommendedSampling): SamplingJson => ({
  ...same,
  top_k: topK,
  top_p: topP,
  one_pass: onePass,
});

/** Checksums of what the codes and tokens of a model depend on besides its sizes. */
interface Parts {
  readonly weights: string;
  readonly tokenizer: string;
  readonly preprocessing?: Preprocessing;
}

/**
 * Identifies a model by its sizes and parts. Recommended sampling is left out: it does not change compressed examples.
 */
export function fingerprintOf(config: ModelConfig, { weights, tokenizer, preprocessing }: Parts): string {
  const { sampling: _, ...xprompt } = config.xprompt;
  return sha256(
    JSON.stringify([modelConfigToJson({ ...config, xprompt }), weights, tokenizer, preprocessing]),
  ).slice(0, 16);
}
