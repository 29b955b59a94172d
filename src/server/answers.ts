/** @file Schemas of responses, from which the types and the OpenAPI document are derived. */
import { z } from "zod";
import { changeSources, guidanceSchema } from "../xprompt/request.ts";

const count = z.int().min(0);
/** Seconds since 1970. */
const moment = z.int();

const usageSchema = z
  .object({
    input_tokens: count,
    output_tokens: count,
    total_tokens: count,
    input_tokens_details: z.object({ text_tokens: count, image_tokens: count }),
  })
  .meta({ id: "Usage" });
export type Usage = z.output<typeof usageSchema>;

const milliseconds = z.number().min(0);
const timingsSchema = z
  .object({
    queued: milliseconds,
    prepare: milliseconds,
    draw: milliseconds,
    decode: milliseconds,
    total: milliseconds,
  })
  .meta({ id: "Timings", description: "In milliseconds." });
export type Timings = z.output<typeof timingsSchema>;

export const settingsSchema = z.object({
  temperature: z.number(),
  topK: count,
  topP: z.number(),
  guidance: guidanceSchema,
  expected: z.boolean(),
  onePass: z.boolean(),
});

const look = {
  background: z.literal("opaque"),
  output_format: z.string(),
  quality: z.literal("auto"),
  size: z.string().meta({ examples: ["640x480"] }),
};

export const imagesSchema = z
  .object({
    created: moment,
    data: z.array(z.object({ b64_json: z.string().optional(), url: z.string().optional(), seed: count })),
    ...look,
    usage: usageSchema,
    model: z.string(),
    fingerprint: z.string(),
    settings: settingsSchema,
    change_from: z.enum(changeSources).optional().meta({
      description:
        "At full size: whether the change is the map of colours that explains the examples, or the model's drawing.",
    }),
    unread_tokens: count.optional().meta({
      description:
        "Tokens of the prompt that the model left out, because the prompt is too long for it. Missing if it read all.",
    }),
    timings: timingsSchema,
    retrieved: z
      .array(z.object({ id: z.string(), instruction: z.string(), similarity: z.number() }))
      .optional()
      .meta({ description: "The retrieved examples, most similar first." }),
  })
  .meta({ id: "ImagesResponse" });
export type ImagesResponse = z.output<typeof imagesSchema>;

export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal("model"),
    created: moment,
    owned_by: z.string(),
    fingerprint: z.string(),
    resolution: z.int(),
    codes_per_image: z.int(),
    libraries: z.array(z.string()),
  })
  .meta({ id: "Model" });

export const promptSchema = z
  .object({
    id: z.string(),
    object: z.literal("xprompt"),
    name: z.string(),
    examples: count,
    bytes: count,
    model: z.string().meta({ description: "Fingerprint of the model that compressed the examples." }),
    created: moment,
  })
  .meta({ id: "VisualPrompt" });
export type PromptInfo = z.output<typeof promptSchema>;

export const deletedSchema = z
  .object({ id: z.string(), object: z.string(), deleted: z.literal(true) })
  .meta({ id: "Deleted" });

export const describedSchema = z
  .object({
    text: z.string(),
    model: z.string(),
    timings: z.object({ queued: milliseconds, total: milliseconds }),
  })
  .meta({ id: "Description" });

export const jobSchema = z
  .object({
    id: z.string(),
    object: z.literal("job"),
    status: z.enum(["queued", "running", "completed", "failed", "cancelled"]),
    position: count
      .nullable()
      .meta({ description: "Number of requests ahead; null while running and after." }),
    progress: z.object({ image: count, images: count, row: count, rows: count }),
    created_at: moment,
    started_at: moment.nullable(),
    finished_at: moment.nullable(),
    result: imagesSchema.nullable(),
    error: z
      .object({
        message: z.string(),
        type: z.string(),
        param: z.string().nullable(),
        code: z.string().nullable(),
      })
      .nullable(),
  })
  .meta({ id: "Job" });
export type JobInfo = z.output<typeof jobSchema>;

export const pairsSchema = z
  .object({
    id: z.string(),
    group: z.string(),
    before: z.string(),
    after: z.string(),
    queries: z.array(z.object({ input: z.string(), truth: z.string().nullable() })),
  })
  .meta({ id: "GalleryEntry" });

export const libraryExampleSchema = z
  .object({
    id: z.string(),
    instruction: z.string(),
    before: z.string(),
    after: z.string(),
    similarity: z.number().nullable(),
  })
  .meta({ id: "LibraryExample" });

export const runSchema = z
  .object({
    id: z.string(),
    kind: z.string().nullable(),
    steps: z.number().nullable(),
    step: z.number().nullable(),
    updated_at: moment,
  })
  .meta({ id: "Run" });

/** Null stands for a number that was not finite. */
const metrics = z.record(z.string(), z.number().nullable());

export const runDetailsSchema = runSchema
  .extend({
    recipe: z.record(z.string(), z.unknown()),
    latest: metrics.nullable(),
    names: z.array(z.string()),
    sheets: z.array(z.object({ step: z.number(), url: z.string() })),
  })
  .meta({ id: "RunDetails" });

export const metricsSchema = metrics.meta({ id: "MetricsLine" });

export const listOf = <S extends z.ZodType>(schema: S) =>
  z.object({ object: z.literal("list"), data: z.array(schema) });
