/** @file Schemas of requests, from which the checks, the types and the OpenAPI document are derived. */
import { z } from "zod";
import { guidanceSchema, requestSchema } from "../xprompt/request.ts";
import { formats, formPicture, jsonPicture, type PictureBytes } from "./pictures.ts";

/** The most pictures per response. */
export const MAX_PICTURES = 10;
/** The most examples per request. */
export const MAX_EXAMPLES = 16;
/** The most characters of a prompt. Models process a few dozen tokens; longer texts would only keep the server busy. */
export const MAX_TEXT = 4000;
/** Edge lengths of a result in pixels. */
const [MIN_EDGE, MAX_EDGE] = [8, 4096];

const ranges = requestSchema.shape;
const text = z.string().max(MAX_TEXT);
const maybe = <S extends z.ZodType>(schema: S) => schema.nullish().transform((value) => value ?? undefined);

const size = z
  .string()
  .regex(/^(auto|\d{1,9}x\d{1,9})$/, "expected auto or WIDTHxHEIGHT")
  .refine(
    (value) =>
      value === "auto" ||
      value.split("x").every((edge) => Number(edge) >= MIN_EDGE && Number(edge) <= MAX_EDGE),
    `expected edges from ${MIN_EDGE} to ${MAX_EDGE} pixels`,
  )
  .transform((value) => {
    const [width, height] = value.split("x").map(Number);
    return value === "auto" ? undefined : { width: width!, height: height! };
  })
  .meta({
    description: "auto, or WIDTHxHEIGHT: the result is scaled, and its center cropped to that size.",
    examples: ["auto", "512x512"],
  });

/** Parameters of OpenAI's clients that have no meaning here. */
const ignored = Object.fromEntries(
  ["quality", "background", "moderation", "input_fidelity", "style", "user"].map((name) => [
    name,
    z.unknown().optional().meta({ description: "Accepted and ignored." }),
  ]),
);

const exampleOf = (picture: z.ZodType<PictureBytes>) =>
  z.strictObject({ input: picture, output: picture, instruction: maybe(text) });

export const examples = z.array(exampleOf(jsonPicture)).max(MAX_EXAMPLES);

/** Parameters of every request for pictures. */
const drawing = {
  prompt: maybe(text).meta({ description: "The instruction. May be empty if there are examples." }),
  model: maybe(z.string()).meta({ description: "Name of the loaded model; optional." }),
  n: z
    .int()
    .min(1)
    .max(MAX_PICTURES)
    .nullish()
    .transform((n) => n ?? 1),
  size: maybe(size),
  response_format: maybe(z.enum(["b64_json", "url"])).meta({ description: "url gives a data URL." }),
  output_format: maybe(z.enum(formats)),
  output_compression: maybe(z.int().min(0).max(100)).meta({ description: "Quality of a JPEG or WebP." }),
  stream: maybe(z.boolean()),
  partial_images: maybe(z.int().min(0).max(3)),
  ...ignored,
  seed: maybe(
    z
      .int()
      .min(0)
      .max(Number.MAX_SAFE_INTEGER - MAX_PICTURES),
  ).meta({
    description: "Picture i has seed + i. Random by default.",
  }),
  temperature: maybe(ranges.temperature.unwrap()),
  top_k: maybe(ranges.topK.unwrap()),
  top_p: maybe(ranges.topP.unwrap()),
  guidance: maybe(guidanceSchema),
  expected: maybe(ranges.expected.unwrap()).meta({ description: ranges.expected.description }),
  one_pass: maybe(ranges.onePass.unwrap()).meta({ description: ranges.onePass.description }),
  examples: maybe(examples),
  xprompt: maybe(z.union([z.string(), z.array(z.string()).max(MAX_EXAMPLES)])).meta({
    description:
      "A visual prompt, or several: its id, or the .xprompt file as a data URL, which is not stored.",
  }),
  library: maybe(z.union([z.boolean(), z.string()])).meta({
    description: "true, or the name of a library of the server: the nearest examples are used.",
  }),
  k: maybe(ranges.k.unwrap()),
  min_similarity: maybe(ranges.minSimilarity.unwrap()),
  full_size: maybe(z.boolean()).meta({
    description: "false for the model's small result. Defaults to true for edits.",
  }),
  example_colours: maybe(ranges.exampleColours.unwrap()).meta({
    description:
      "At full size and without a prompt, if a map of colours explains the examples, it is applied instead of the drawing; false always applies the drawing.",
  }),
  every_row: maybe(z.boolean()).meta({
    description: "With stream: a partial picture after every row of codes, and the position in the queue.",
  }),
};

export const generationRequest = z.strictObject(drawing).meta({ id: "GenerationRequest" });

const imageUrl = z.strictObject({ image_url: jsonPicture });

export const editRequest = z
  .strictObject({
    ...drawing,
    images: z
      .array(imageUrl)
      .min(1)
      .max(2 * MAX_EXAMPLES + 1),
    mask: maybe(imageUrl),
  })
  .meta({ id: "EditRequest" });

const files = z.union([formPicture, z.array(formPicture).max(2 * MAX_EXAMPLES + 1)]);

/** Example files of a form, in the same order on both sides. */
const exampleFiles = {
  "example_input[]": maybe(files),
  "example_output[]": maybe(files),
};

export const editForm = z
  .strictObject({
    ...drawing,
    ...exampleFiles,
    image: maybe(files),
    "image[]": maybe(files),
    mask: maybe(formPicture),
  })
  .meta({ id: "EditForm" });

export const jobRequest = z
  .strictObject({ ...editRequest.shape, images: maybe(editRequest.shape.images) })
  .meta({ id: "JobRequest" });

/** The name of a visual prompt. */
export const name = z
  .string()
  .max(200)
  .refine(
    (text) => !/[\p{Cc}\p{Cs}]/u.test(text),
    "expected no control characters, and no halves of characters",
  );

const store = z.boolean().meta({
  description:
    "false: the prompt is not stored on the server. Compiling then answers with the .xprompt file.",
});

export const compileRequest = z
  .strictObject({ examples: examples.min(1), name: maybe(name), store: maybe(store) })
  .meta({ id: "CompileRequest" });

export const compileForm = z
  .strictObject({
    ...exampleFiles,
    ...{ examples: maybe(examples), name: maybe(name), instruction: maybe(text), store: maybe(store) },
  })
  .meta({ id: "CompileForm" });

export const uploadQuery = z.object({
  name: name.optional(),
  store: z.enum(["true", "false"]).optional().meta({
    description: "false: the file is checked and described, but not stored.",
  }),
});

const describing = {
  xprompt: drawing.xprompt,
  seed: maybe(ranges.seed.unwrap()),
  temperature: maybe(ranges.temperature.unwrap()),
};
export const describeRequest = z
  .strictObject({ ...describing, examples: drawing.examples })
  .meta({ id: "DescribeRequest" });
export const describeForm = z
  .strictObject({ ...describing, ...exampleFiles, examples: drawing.examples })
  .meta({ id: "DescribeForm" });

export type GenerationRequest = z.output<typeof generationRequest>;
export type EditForm = z.output<typeof editForm>;
export type JobRequest = z.output<typeof jobRequest>;
export type ExampleInput = z.output<typeof examples>[number];
