/** @file The answers of `xprompt serve`, as far as the studio reads them. */
import { z } from "zod/mini";

const list = <Item extends z.core.$ZodType>(item: Item) => z.object({ data: z.array(item) });

export const errorSchema = z.object({
  error: z.object({ message: z.string(), param: z.nullish(z.string()) }),
});

export const modelsSchema = list(z.object({ id: z.string(), libraries: z.array(z.string()) }));

export const eventSchema = z.union([
  z.object({ type: z.literal("xprompt.queued"), position: z.number() }),
  z.object({
    type: z.literal(["image_edit.partial_image", "image_generation.partial_image"]),
    b64_json: z.string(),
    image_index: z.number(),
    row: z.number(),
    rows: z.number(),
  }),
  z.object({
    type: z.literal(["image_edit.completed", "image_generation.completed"]),
    b64_json: z.string(),
    image_index: z.number(),
    seed: z.number(),
    settings: z.optional(z.object({ expected: z.boolean(), onePass: z.boolean() })),
    change_from: z.optional(z.string()),
    unread_tokens: z.optional(z.number()),
  }),
  errorSchema,
]);

export const promptSchema = z.object({ id: z.string(), examples: z.number() });

export const describedSchema = z.object({ text: z.string() });

export const gallerySchema = list(
  z.object({
    id: z.string(),
    group: z.string(),
    before: z.string(),
    after: z.string(),
    queries: z.array(z.object({ input: z.string() })),
  }),
);

export const searchSchema = list(
  z.object({
    id: z.string(),
    instruction: z.string(),
    before: z.string(),
    after: z.string(),
    similarity: z.nullable(z.number()),
  }),
);

export const summarySchema = z.object({
  id: z.string(),
  kind: z.nullable(z.string()),
  step: z.nullable(z.number()),
  steps: z.nullable(z.number()),
  updated_at: z.number(),
});

export const runsSchema = list(summarySchema);

export const runSchema = z.extend(summarySchema, {
  recipe: z.record(z.string(), z.unknown()),
  sheets: z.array(z.object({ step: z.number(), url: z.string() })),
});

export const metricsSchema = list(z.record(z.string(), z.nullable(z.number())));
