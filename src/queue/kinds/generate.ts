/** @file Jobs that generate pictures. */
import { z } from "zod";
import type { ExampleSource } from "../../xprompt/example-source.ts";
import { changeSources, guidanceSchema, requestSchema } from "../../xprompt/request.ts";
import { modelKind } from "../kind.ts";
import { packedPicture, packInBytes, unpackPicture } from "../pictures.ts";
import { instructionText, packedPrompt } from "../prompts.ts";
import type { WorkerModel } from "../worker-model.ts";

const count = z.int().min(0);
const milliseconds = z.number().min(0);
const { samples, seed, temperature, topK, topP, expected, onePass, exampleColours, draft } =
  requestSchema.shape;

/** Codes so far, `[samples][codes]`. */
const codes = z.array(z.array(count));

export const generateProgress = z.object({ row: count, rows: count, codes });
type Progress = z.output<typeof generateProgress>;

const found = z.strictObject({ prompt: packedPrompt.optional(), instructions: z.array(instructionText) });
type Found = z.output<typeof found>;

export const generate = modelKind({
  name: "generate",
  data: z.strictObject({
    prompts: z.array(packedPrompt),
    /** What a library has for the request. */
    retrieved: found.optional(),
    input: packedPicture.optional(),
    instruction: instructionText.optional(),
    fullSize: z.boolean().optional(),
    /** Given, so that the same job gives the same pictures. */
    seed: seed.unwrap(),
    samples: samples.unwrap().optional(),
    temperature: temperature.unwrap().optional(),
    topK: topK.unwrap().optional(),
    topP: topP.unwrap().optional(),
    guidance: guidanceSchema.optional(),
    expected: expected.unwrap().optional(),
    onePass: onePass.unwrap().optional(),
    exampleColours: exampleColours.unwrap().optional(),
    draft: draft.unwrap().optional(),
  }),
  result: z.object({
    /** In 8 bits. */
    images: z.array(z.strictObject({ png: z.string() })).min(1),
    changeFrom: z.enum(changeSources).optional(),
    codes,
    seed: count,
    settings: z.object({
      ...{ temperature: z.number(), topK: count, topP: z.number() },
      guidance: guidanceSchema,
      ...{ expected: z.boolean(), onePass: z.boolean() },
    }),
    model: z.string(),
    tokens: z.object({ examples: count, prompt: count, generated: count, unread: count }),
    steps: z.object({ runs: count, drafted: count, accepted: count }),
    timings: z.object({
      ...{ prepare: milliseconds, draw: milliseconds, decode: milliseconds },
      total: milliseconds,
    }),
  }),
  async handle({ prompts, retrieved, input, ...settings }, model, { signal, onProgress }) {
    const stream = model.batcher.stream({
      ...settings,
      prompt: await model.prompts(prompts, signal),
      library: retrieved && (await retrievedBefore(retrieved, model, signal)),
      input: input && (await unpackPicture(input, "input")),
      signal,
    } as Parameters<typeof model.batcher.stream>[0]);
    for await (const { codes: sofar, row, result } of stream) {
      if (result) {
        const { seed, settings: sampling, model: fingerprint, changeFrom, tokens, steps, timings } = result;
        const images = await Promise.all(result.images.map(packInBytes));
        return {
          images,
          ...(changeFrom && { changeFrom }),
          codes: rowsOf(result.codes),
          seed,
          settings: sampling,
          model: fingerprint,
          tokens,
          steps,
          timings,
        };
      }
      if (row) await onProgress({ ...row, codes: rowsOf(sofar) } satisfies Progress);
    }
    throw new Error("expected a last step with the result, got none");
  },
});

/** A library that finds what the submitter's library has found. */
async function retrievedBefore(
  { prompt: packed, instructions }: Found,
  model: WorkerModel,
  signal: AbortSignal,
): Promise<ExampleSource> {
  const prompt = packed && (await model.prompt(packed, signal));
  const unknown = { id: "", source: "", similarity: 0, distance: 1, parts: {}, block: "kept" } as const;
  const examples = instructions.map((instruction) => ({ ...unknown, instruction }));
  return { retrieve: async () => ({ ...(prompt && { prompt }), examples }) };
}

const rowsOf = (codes: readonly (readonly number[])[]): number[][] => codes.map((row) => [...row]);
