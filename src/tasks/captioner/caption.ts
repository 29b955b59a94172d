/**
 * @file The question to a vision-language model about a pair, and the check of its answer (paper, section 3.3:
 * descriptions of the difference, a subtask from a list, and the instruction that undoes the edit).
 */
import { z } from "zod";
import { XPromptError } from "../../errors.ts";

/** The paper's subtasks of image editing. */
export const subtasks = [
  "Style Transfer",
  "Object Removal",
  "Object Replacement",
  "Object Addition",
  "Object Modification",
  "Season/Time Change",
  "other",
] as const;

const sentence = (most: number) => z.string().trim().min(1).max(most);

/** A model's answer about one pair. */
export const captionSchema = z.strictObject({
  subtask: z.enum(subtasks).describe("the kind of change"),
  instruction: sentence(400).describe("a short command that turns the input image into the output image"),
  reverseInstruction: sentence(400).describe(
    "a short command that turns the output image back into the input image",
  ),
  difference: sentence(2000).describe("what differs, speaking of 'input image' and 'output image'"),
  reverseDifference: sentence(2000).describe(
    "the same difference told as if the output image came first: call the second image 'input image' and the first 'output image'",
  ),
});
export type Caption = z.output<typeof captionSchema>;

/** Changes with the question, so that answers to an earlier question are not reused. */
export const QUESTION_VERSION = 1;

export const SYSTEM = [
  "You compare two images, the input image and the output image of an image-to-image task.",
  "Say what the task changed and nothing else: objects by name, attribute and place; style, weather, light, noise.",
  "Do not describe what both images share, and do not guess at what can not be seen.",
].join(" ");

/** The question about one pair. It includes the author's instruction, if any, as a hint. */
export function question(instruction: string | undefined): string {
  const said = instruction ? ` The task was given as: ${JSON.stringify(instruction)}.` : "";
  return `The first image is the input image, the second the output image.${said} Answer in JSON.`;
}

/** JSON Schema of the answer, for servers with constrained decoding. */
export const answerFormat = {
  type: "json_schema",
  json_schema: { name: "difference", strict: true, schema: z.toJSONSchema(captionSchema) },
} as const;

/** The JSON object in an answer; some models wrap it in a code fence or in words. @throws XPromptError if there is none */
export function parseAnswer(text: string): Caption {
  const start = text.indexOf("{");
  const end = text.lastIndexOf("}");
  if (start < 0 || end < start) throw new XPromptError("expected a JSON object, got none");
  const parsed = captionSchema.safeParse(JSON.parse(text.slice(start, end + 1)));
  if (parsed.success) return parsed.data;
  throw new XPromptError(z.prettifyError(parsed.error).replace(/\s*\n\s*/g, " "));
}
