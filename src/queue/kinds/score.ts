/** @file Jobs that say how likely a picture is. */
import { z } from "zod";
import { modelKind } from "../kind.ts";
import { packedPicture, unpackPicture } from "../pictures.ts";
import { instructionText, packedPrompt } from "../prompts.ts";

export const score = modelKind({
  name: "score",
  data: z.strictObject({
    prompts: z.array(packedPrompt),
    input: packedPicture.optional(),
    instruction: instructionText.optional(),
    output: packedPicture,
  }),
  /** Nats of each code. */
  result: z.object({ nats: z.array(z.number()) }),
  async handle({ prompts, input, instruction, output }, model, { signal }) {
    const shown = await model.prompts(prompts, signal);
    signal.throwIfAborted();
    const nats = await model.xprompt.score({
      ...(shown.length > 0 && { prompt: shown }),
      input: input && (await unpackPicture(input, "input")),
      instruction,
      output: await unpackPicture(output, "output"),
    });
    return { nats };
  },
});
