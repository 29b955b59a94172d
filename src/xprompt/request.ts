/** @file The settings of `generate`, with ranges and defaults. */
import { z } from "zod";
import { guidanceWeight, samplesSchema, samplingSchema } from "../chameleon/model/sampling.ts";
import { checkSettings, defined } from "../settings.ts";

/** The most examples that a request can retrieve from a library. */
const MAX_EXAMPLES = 64;

/** How strongly to follow the conditions: one number, or one per condition. */
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
    "how strongly to follow the examples (or the instruction, without examples), or one number per condition, such as image=2,examples=3",
  );
export type Guidance = z.output<typeof guidanceSchema>;

/** The settings of a request. The descriptions are the help of the command line. */
export const requestSchema = z.strictObject({
  k: z.int().min(1).max(MAX_EXAMPLES).default(1).describe("number of examples to retrieve from the library"),
  minSimilarity: z
    .number()
    .min(-1)
    .max(1)
    .optional()
    .describe(
      "ignore examples of the library with a lower similarity; 1 means identical. Defaults to no limit",
    ),
  ...samplesSchema.shape,
  ...samplingSchema.shape,
  guidance: guidanceSchema.default(1),
  expected: z
    .boolean()
    .default(false)
    .describe(
      "show at each place the mean of the likely codes instead of the sampled code: smoother, and nearer to the truth on average",
    ),
  onePass: z
    .boolean()
    .default(false)
    .describe(
      "sample all codes from one run of the model that sees none of them: many times faster, for models that were trained with hidden targets",
    ),
  exampleColours: z
    .boolean()
    .default(true)
    .describe(
      "apply the map of colours that explains the examples, if there is one, instead of the drawing; at full size and without an instruction. The map is exact where the model is not",
    ),
  draft: z
    .boolean()
    .default(true)
    .describe("guess codes ahead and verify several per run of the model: the same picture in fewer runs"),
});
/** The settings as a caller passes them. */
export type RequestSettings = z.input<typeof requestSchema>;

/** What a result at full size can take its change from. */
export const changeSources = ["example colours", "drawing"] as const;

/** The settings of a description. Without a temperature it takes the most likely tokens. */
export const describeSchema = z.strictObject({
  seed: z.int().min(0).default(0).describe("with a temperature, the same seed gives the same words"),
  temperature: samplingSchema.shape.temperature
    .unwrap()
    .default(0)
    .describe("divides the logits; 0 takes the most likely token"),
});

const recommendable = z
  .strictObject({
    temperature: samplingSchema.shape.temperature.unwrap(),
    topK: samplingSchema.shape.topK.unwrap(),
    topP: samplingSchema.shape.topP.unwrap(),
    guidance: guidanceSchema,
    expected: z.boolean(),
    onePass: z.boolean(),
  })
  .partial();

/** Settings for which a model can recommend defaults. */
export const recommendableSettings = Object.keys(recommendable.shape);

/** Recommended settings, with separate values for a request without pictures and examples. */
export const recommendedSampling = recommendable.extend({ wordsAlone: recommendable.optional() });
export type RecommendedSampling = z.output<typeof recommendedSampling>;

export type Request = z.output<typeof requestSchema>;

/**
 * Takes each setting from `options`, else from `recommended`, else its default.
 * @param about whether the request has a picture or examples; without both, the model can recommend other defaults
 * @throws UsageError naming a setting that is out of range
 */
export function checkRequest(
  options: RequestSettings,
  { wordsAlone, ...recommended }: RecommendedSampling = {},
  about: { readonly pictures: boolean } = { pictures: true },
): Request {
  const fallback = about.pictures ? recommended : { ...recommended, ...defined(wordsAlone ?? {}) };
  return checkSettings("generating", requestSchema, options, fallback);
}
