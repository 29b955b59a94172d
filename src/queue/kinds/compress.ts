/** @file Jobs that compress examples into a visual prompt. */
import { z } from "zod";
import { modelKind } from "../kind.ts";
import { packedExamples } from "../prompts.ts";

export const compress = modelKind({
  name: "compress",
  data: z.strictObject({ examples: packedExamples }),
  /** The bytes of a `.xprompt` file, in base64. */
  result: z.object({ xprompt: z.string() }),
  async handle(data, model, { signal }) {
    const prompt = await model.prompt(data, signal);
    return { xprompt: Buffer.from(await prompt.toBytes()).toString("base64") };
  },
});
