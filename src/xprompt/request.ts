/** @file What may be asked of `generate`: the options that are numbers, their ranges and defaults. */
import { z } from "zod";
import { samplingSchema } from "../chameleon/model/sampling.ts";
import { checkSettings, defined } from "../settings.ts";

const MAX_SAMPLES = 64;
/** Most examples that are taken from a library. */
const MAX_EXAMPLES = 64;
const weight = z.number().min(0).max(100);

/** How strongly the conditions are followed: one number, or one for each. */
export const guidanceSchema = z
  .union([
    weight,
    z.strictObject({ image: weight.optional(), text: weight.optional(), examples: weight.optional() }),
  ])
  .describe("a number from 0 to 100, or one for each of image, text and examples");
export type Guidance = z.output<typeof guidanceSchema>;

/** Each setting's description ends the sentence "expected …". */
export const requestSchema = samplingSchema.extend({
  seed: z.int().min(0).optional().describe("a whole number from 0 to 2^53 - 1"),
  samples: z.int().min(1).max(MAX_SAMPLES).default(1).describe(`a whole number from 1 to ${MAX_SAMPLES}`),
  k: z.int().min(1).max(MAX_EXAMPLES).default(1).describe(`a whole number from 1 to ${MAX_EXAMPLES}`),
  minSimilarity: z.number().min(-1).max(1).optional().describe("a number from -1 to 1"),
  guidance: guidanceSchema.default(1),
});

const recommendable = z
  .strictObject({
    temperature: samplingSchema.shape.temperature.unwrap(),
    topK: samplingSchema.shape.topK.unwrap(),
    topP: samplingSchema.shape.topP.unwrap(),
    guidance: guidanceSchema,
  })
  .partial();

/** How a model says that it is best drawn with, and what is otherwise where words alone say what to draw. */
export const recommendedSampling = recommendable.extend({ wordsAlone: recommendable.optional() });
export type RecommendedSampling = z.output<typeof recommendedSampling>;

export type Request = z.output<typeof requestSchema>;

/**
 * The settings among `options`, else `recommended`, else defaults.
 * @param about whether there is a picture to change, or an example: of words alone a model may recommend something else
 * @throws UsageError naming the one that is out of range
 */
export function checkRequest(
  options: z.input<typeof requestSchema>,
  { wordsAlone, ...recommended }: RecommendedSampling = {},
  about: { readonly pictures: boolean } = { pictures: true },
): Request {
  const fallback = about.pictures ? recommended : { ...recommended, ...defined(wordsAlone ?? {}) };
  return checkSettings("generating", requestSchema, options, fallback);
}
