/**
 * @file A vision-language model on a server with OpenAI's protocol: sends a question, returns the answer's text and its
 * token counts.
 */
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { encodePng, type Image } from "../../image/index.ts";
import { answerFormat, question, SYSTEM } from "./caption.ts";
import { postJson, ServerError } from "./post.ts";

export interface ServerOptions {
  /** Base URL of the server, such as `http://localhost:8000/v1`. */
  readonly baseUrl: string;
  /** The model's name on the server. */
  readonly model: string;
  /** Defaults to the environment's OPENAI_API_KEY; many local servers need none. */
  readonly apiKey?: string;
  /** Retries of a failed request, and of a question with an invalid answer. Defaults to 2. */
  readonly retries?: number;
  /** Timeout of a request in seconds, including its whole answer. Defaults to 120. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

/** A pair of pictures, and its author's instruction. */
export interface Asked {
  readonly input: Image;
  readonly output: Image;
  readonly instruction?: string;
}

/** The used fields of a chat completion. A server that reports no token counts counts as zero. */
const completionSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
  usage: z
    .object({ prompt_tokens: z.number(), completion_tokens: z.number() })
    .catch({ prompt_tokens: 0, completion_tokens: 0 }),
});
export type Completion = z.output<typeof completionSchema>;

export class VisionServer {
  /** Whether it has answered any question. */
  hasAnswered = false;

  constructor(private readonly options: ServerOptions) {}

  /** Asks what the pair changes. @throws Error when the server refuses, is unreachable, or sends something else */
  async ask(pair: Asked): Promise<Completion> {
    const { baseUrl, model, apiKey, retries = 2, timeout = 120, signal } = this.options;
    const body = {
      ...{ model, messages: await messagesOf(pair) },
      ...{ temperature: 0, response_format: answerFormat },
    };
    const text = await postJson(`${baseUrl.replace(/\/+$/, "")}/chat/completions`, body, {
      ...{ key: apiKey ?? process.env.OPENAI_API_KEY ?? "none", retries, timeout, signal },
    });
    const completion = completionIn(text);
    this.hasAnswered = true;
    return completion;
  }
}

/** Whether all other requests would fail too: wrong key, model or address, a redirect, or no server. */
export function isHopeless(error: unknown): boolean {
  if (!(error instanceof ServerError)) return false;
  const { status } = error;
  return status === "unreachable" || [301, 302, 303, 307, 308, 401, 403, 404].includes(Number(status));
}

function completionIn(text: string): Completion {
  try {
    return completionSchema.parse(JSON.parse(text));
  } catch {
    const got = text.trim().replace(/\s+/g, " ").slice(0, 100);
    throw new XPromptError(
      `expected a chat completion, JSON with choices, got ${got ? `"${got}"` : "nothing"}`,
    );
  }
}

async function messagesOf({ input, output, instruction }: Asked) {
  const picture = async (image: Image) => ({
    type: "image_url" as const,
    image_url: { url: `data:image/png;base64,${Buffer.from(await encodePng(image)).toString("base64")}` },
  });
  const text = { type: "text" as const, text: question(instruction) };
  return [
    { role: "system" as const, content: SYSTEM },
    { role: "user" as const, content: [await picture(input), await picture(output), text] },
  ];
}
