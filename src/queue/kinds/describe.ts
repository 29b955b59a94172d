/** @file Jobs that say in words what examples change. */
import { z } from "zod";
import { describeSchema } from "../../xprompt/request.ts";
import { modelKind } from "../kind.ts";
import { packedPrompt } from "../prompts.ts";

export const describe = modelKind({
  name: "describe",
  data: z.strictObject({ prompts: z.array(packedPrompt).min(1), ...describeSchema.shape }),
  result: z.object({ text: z.string() }),
  async handle({ prompts, ...settings }, model, { signal }) {
    const prompt = await model.prompts(prompts, signal);
    return { text: await model.xprompt.describe({ prompt }, { ...settings, signal }) };
  },
});
