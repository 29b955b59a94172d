/** @file What may be asked of `generate`: the options that are numbers, their ranges and defaults. */
import { z } from "zod";
import { samplingSchema } from "../chameleon/sampling.ts";
import { UsageError } from "../errors.ts";

const MAX_SAMPLES = 64;
const weight = z.number().min(0).max(100);

/** Each setting's description ends the sentence "expected …". */
export const requestSchema = samplingSchema.extend({
  seed: z.int().min(0).optional().describe("a whole number from 0 to 2^53 - 1"),
  samples: z.int().min(1).max(MAX_SAMPLES).default(1).describe(`a whole number from 1 to ${MAX_SAMPLES}`),
  guidance: z
    .union([
      weight,
      z.strictObject({ image: weight.optional(), text: weight.optional(), examples: weight.optional() }),
    ])
    .default(1)
    .describe("a number from 0 to 100, or one for each of image, text and examples"),
});

export type Request = z.output<typeof requestSchema>;

/** The settings among `options`, with defaults. @throws UsageError naming the one that is out of range */
export function checkRequest(options: z.input<typeof requestSchema>): Request {
  const keys = Object.keys(requestSchema.shape) as (keyof Request)[];
  const parsed = requestSchema.safeParse(Object.fromEntries(keys.map((key) => [key, options[key]])));
  if (parsed.success) return parsed.data;
  const key = parsed.error.issues[0]!.path[0] as keyof Request;
  throw new UsageError(
    `generating: ${key}: expected ${requestSchema.shape[key].description}, got ${show(options[key])}`,
  );
}

/** JSON knows no NaN, no bigint and no symbol. */
const show = (value: unknown): string =>
  typeof value === "string" || typeof value === "object" ? JSON.stringify(value) : String(value);
