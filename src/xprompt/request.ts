/** @file What may be asked of `generate`: the options that are numbers, their ranges and defaults. */
import { z } from "zod";
import { guidanceWeight, samplesSchema, samplingSchema } from "../chameleon/model/sampling.ts";
import { checkSettings, defined } from "../settings.ts";

/** Most examples that are taken from a library. */
const MAX_EXAMPLES = 64;

/** How strongly the conditions are followed: one number, or one for each. */
export const guidanceSchema = z
  .union([
    guidanceWeight,
    z.strictObject({
      image: guidanceWeight.optional(),
      text: guidanceWeight.optional(),
      examples: guidanceWeight.optional(),
    }),
  ])
  .describe(
    "how strongly to follow the examples (or the instruction, without examples), or image=2,examples=3",
  );
export type Guidance = z.output<typeof guidanceSchema>;

/** The settings of a request. Descriptions are the help of the command line. */
export const requestSchema = z.strictObject({
  k: z.int().min(1).max(MAX_EXAMPLES).default(1).describe("how many examples of the library to use"),
  minSimilarity: z
    .number()
    .min(-1)
    .max(1)
    .optional()
    .describe("use no example of the library that is less similar; 1 is the same. Defaults to any"),
  ...samplesSchema.shape,
  ...samplingSchema.shape,
  guidance: guidanceSchema.default(1),
  expected: z
    .boolean()
    .default(false)
    .describe(
      "show the mean of the likely codes at each place instead of the sampled code: smoother, and nearer to the truth on average",
    ),
  draft: z
    .boolean()
    .default(true)
    .describe("guess codes ahead and verify several per run of the model: the same picture in fewer runs"),
});
/** The settings of a request as a caller gives them. */
export type RequestSettings = z.input<typeof requestSchema>;

/** The settings of a description: the likeliest words, unless there is a temperature. */
export const describeSchema = z.strictObject({
  seed: z.int().min(0).default(0).describe("with a temperature, the same seed gives the same words"),
  temperature: samplingSchema.shape.temperature
    .unwrap()
    .default(0)
    .describe("divides the logits; 0 takes the likeliest word each time"),
});

const recommendable = z
  .strictObject({
    temperature: samplingSchema.shape.temperature.unwrap(),
    topK: samplingSchema.shape.topK.unwrap(),
    topP: samplingSchema.shape.topP.unwrap(),
    guidance: guidanceSchema,
  })
  .partial();

/** Settings for which a model may have other defaults than plain sampling. */
export const recommendableSettings = Object.keys(recommendable.shape);

/** The settings that a model recommends, and those that differ for a request of words alone. */
export const recommendedSampling = recommendable.extend({ wordsAlone: recommendable.optional() });
export type RecommendedSampling = z.output<typeof recommendedSampling>;

export type Request = z.output<typeof requestSchema>;

/**
 * The settings among `options`, else `recommended`, else defaults.
 * @param about whether there is a picture to change, or an example: of words alone a model may recommend something else
 * @throws UsageError naming the one that is out of range
 */
export function checkRequest(
  options: RequestSettings,
  { wordsAlone, ...recommended }: RecommendedSampling = {},
  about: { readonly pictures: boolean } = { pictures: true },
): Request {
  const fallback = about.pictures ? recommended : { ...recommended, ...defined(wordsAlone ?? {}) };
  return checkSettings("generating", requestSchema, options, fallback);
}
