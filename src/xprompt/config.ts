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
import { exampleMasks, type XPromptConfig } from "./sequence.ts";

export interface ModelConfig {
  readonly decoder: DecoderConfig;
  readonly image: VqganConfig;
  readonly xprompt: XPromptConfig;
  /** SHA-256 of `model.safetensors`, where the configuration has it. */
  readonly checksum?: string;
}

export const modelConfigSchema = z
  .looseObject({
    model_type: z.literal("chameleon"),
    vq_config: vqConfigSchema,
    xprompt: z.strictObject({
      tokens: z.int().min(1),
      todo_position: z.int().min(1),
      max_text_tokens: z.int().min(0),
      mask: z.enum(exampleMasks).optional(),
    }),
    weights_sha256: z.string().optional(),
  })
  .and(decoderConfigSchema);

export function modelConfigFromJson(json: z.output<typeof modelConfigSchema>): ModelConfig {
  return {
    decoder: decoderFromJson(json),
    image: vqganFromJson(json.vq_config),
    xprompt: {
      tokens: json.xprompt.tokens,
      todoPosition: json.xprompt.todo_position,
      maxTextTokens: json.xprompt.max_text_tokens,
      mask: json.xprompt.mask,
    },
    checksum: json.weights_sha256,
  };
}

export function modelConfigToJson({ decoder, image, xprompt }: ModelConfig): Record<string, unknown> {
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
    },
  };
}

/** Names a model by its sizes and the checksum of its weights. */
export const fingerprintOf = (config: ModelConfig, checksum: string): string =>
  sha256(JSON.stringify([modelConfigToJson(config), checksum])).slice(0, 16);
