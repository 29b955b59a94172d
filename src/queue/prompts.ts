/** @file What a job shows the model: compressed examples, or examples that the worker compresses. */
import { z } from "zod";
import type { Example } from "../xprompt/model.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { bytesOf, packedPicture, packPicture, unpackPicture } from "./pictures.ts";

/** Most bytes of a compressed prompt, examples of a prompt, and characters of an instruction. */
const [MAX_PROMPT, MAX_EXAMPLES, MAX_TEXT] = [64 * 2 ** 20, 256, 20_000];

export const instructionText = z.string().max(MAX_TEXT);

const packedExample = z.strictObject({
  input: packedPicture,
  output: packedPicture,
  instruction: instructionText.optional(),
});
export const packedExamples = z.array(packedExample).min(1).max(MAX_EXAMPLES);

export const packedPrompt = z.union([
  /** The bytes of a `.xprompt` file. */
  z.strictObject({ xprompt: bytesOf(MAX_PROMPT) }),
  /** Examples that are compressed together. */
  z.strictObject({ examples: packedExamples }),
]);
export type PackedPrompt = z.output<typeof packedPrompt>;

/** Examples of prompts that are not compressed yet. */
const deferred = new WeakMap<VisualPrompt, readonly Example[]>();

/** A prompt that stands for examples which a worker will compress. It goes into jobs, and nowhere else. */
export function deferPrompt(fingerprint: string, examples: readonly Example[]): VisualPrompt {
  const prompt = VisualPrompt.of(fingerprint, []);
  deferred.set(prompt, examples);
  return prompt;
}

export async function packPrompt(prompt: VisualPrompt): Promise<PackedPrompt> {
  const examples = deferred.get(prompt);
  if (examples) return { examples: await packExamples(examples) };
  return { xprompt: Buffer.from(await prompt.toBytes()).toString("base64") };
}

export const packExamples = (examples: readonly Example[]) =>
  Promise.all(
    examples.map(async ({ input, output, instruction }, i) => ({
      input: await packPicture(input, `examples[${i}].input`),
      output: await packPicture(output, `examples[${i}].output`),
      ...(instruction !== undefined && { instruction }),
    })),
  );

/** One after another: the pixels of a picture are many times larger than what was sent. */
export async function unpackExamples(packed: z.output<typeof packedExamples>): Promise<Example[]> {
  const examples: Example[] = [];
  for (const [i, { input, output, instruction }] of packed.entries())
    examples.push({
      input: await unpackPicture(input, `examples[${i}].input`),
      output: await unpackPicture(output, `examples[${i}].output`),
      ...(instruction !== undefined && { instruction }),
    });
  return examples;
}
