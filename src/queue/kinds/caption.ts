/** @file Jobs that ask a vision-language model what a pair changes. The worker knows the server and its key. */
import { z } from "zod";
import { messageOf, XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import type { Image } from "../../image/index.ts";
import { loadPicture } from "../../image/picture.ts";
import { captionSchema, QUESTION_VERSION } from "../../tasks/captioner/caption.ts";
import { askCaption, type CaptionUsage } from "../../tasks/captioner/captioner.ts";
import { VisionServer } from "../../tasks/captioner/server.ts";
import type { JobKind } from "../kind.ts";
import { type PackedPicture, packedPicture, unpackPicture } from "../pictures.ts";
import { instructionText } from "../prompts.ts";

/** Names the question and the model that is asked. */
export const captionFingerprint = (model: string): string =>
  sha256(JSON.stringify(["caption", QUESTION_VERSION, model])).slice(0, 16);

const data = z.strictObject({
  input: packedPicture,
  output: packedPicture,
  instruction: instructionText.optional(),
});
const count = z.number().min(0);
const result = z.object({
  caption: captionSchema,
  usage: z.object({ promptTokens: count, completionTokens: count }),
});

export const caption: JobKind<typeof data, typeof result> = {
  name: "caption",
  workerOption: "--server",
  data,
  result,
  fingerprint: ({ captioner }) => captioner && captionFingerprint(captioner.model),
  async handle({ input, output, instruction }, { captioner }, { signal }) {
    const server = new VisionServer({ ...captioner!, signal });
    const usage: CaptionUsage = { promptTokens: 0, completionTokens: 0 };
    const pair = {
      input: await decoded(input, "input"),
      output: await decoded(output, "output"),
      instruction,
    };
    try {
      return { caption: await askCaption(server, pair, usage, captioner!.retries), usage };
    } catch (error) {
      if (signal?.aborted || error instanceof XPromptError) throw error;
      throw new XPromptError(`captioning: expected an answer of the server, got: ${messageOf(error)}`);
    }
  },
};

const decoded = async (packed: PackedPicture, name: string): Promise<Image> =>
  loadPicture(await unpackPicture(packed, name), { name });
