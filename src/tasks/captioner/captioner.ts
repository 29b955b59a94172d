/**
 * @file Captions of differences by a vision-language model (paper: Qwen2-VL) on any server that speaks OpenAI's
 * protocol: a few requests at a time, each tried again a bounded number of times, answers kept on disk.
 */
import OpenAI from "openai";
import { messageOf, XPromptError } from "../../errors.ts";
import { encodePng, type Image } from "../../image/index.ts";
import { sha256 } from "../../runtime/files.ts";
import { type Answer, Answers } from "./answers.ts";
import { answerFormat, type Caption, parseAnswer, QUESTION_VERSION, question, SYSTEM } from "./caption.ts";

/** A pair to be captioned. */
export interface PairToCaption {
  readonly id: string;
  readonly input: Image;
  readonly output: Image;
  /** What its author said about it. */
  readonly instruction?: string;
}

export interface CaptionerOptions {
  /** Base address of the server, such as `http://localhost:8000/v1`. */
  readonly baseUrl: string;
  /** The server's name of the model. */
  readonly model: string;
  /** Defaults to the environment's OPENAI_API_KEY; many local servers want none. */
  readonly apiKey?: string;
  /** File of the answers, JSON lines; a second run goes on with it. */
  readonly answers: string;
  /** Requests at a time. Defaults to 4. */
  readonly concurrency?: number;
  /** Tries more for a request that failed, and questions more where an answer can not be taken. Defaults to 2. */
  readonly retries?: number;
  /** Seconds that a request may take. Defaults to 120. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  onProgress?(state: CaptionerState): void;
}

export interface CaptionerState {
  /** Pairs seen. */
  readonly pairs: number;
  /** Answers that were asked for now. */
  readonly asked: number;
  /** Answers that were on disk. */
  readonly cached: number;
  /** Pairs without an answer that could be taken, with the reasons of the first few. */
  readonly failed: number;
  readonly failures: readonly string[];
  /** What the server counted. */
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const FAILURES_KEPT = 20;

/**
 * Captions pairs, and keeps the answers in a file.
 * @returns what was done; pairs that failed are left out of the file and can be tried again
 * @throws XPromptError when the server refuses the key, the model or the address: nothing would get better
 */
export async function captionPairs(
  pairs: AsyncIterable<PairToCaption> | Iterable<PairToCaption>,
  options: CaptionerOptions,
): Promise<CaptionerState> {
  const { concurrency = 4, retries = 2, timeout = 120, signal } = options;
  const client = new OpenAI({
    baseURL: options.baseUrl,
    apiKey: options.apiKey ?? process.env.OPENAI_API_KEY ?? "none",
    maxRetries: retries,
    timeout: timeout * 1000,
  });
  const answers = await Answers.open(options.answers);
  const state = {
    ...{ pairs: 0, asked: 0, cached: 0, failed: 0, promptTokens: 0, completionTokens: 0 },
    failures: [] as string[],
  };

  const ask = async (pair: PairToCaption): Promise<Caption> => {
    const messages = await messagesOf(pair);
    for (let attempt = 0; ; attempt++) {
      const reply = await client.chat.completions.create(
        { model: options.model, messages, temperature: 0, response_format: answerFormat },
        { signal },
      );
      state.promptTokens += reply.usage?.prompt_tokens ?? 0;
      state.completionTokens += reply.usage?.completion_tokens ?? 0;
      try {
        return parseAnswer(reply.choices[0]?.message.content ?? "");
      } catch (error) {
        if (attempt >= retries) throw error;
      }
    }
  };

  const caption = async (pair: PairToCaption): Promise<void> => {
    signal?.throwIfAborted();
    const key = keyOf(pair, options.model);
    try {
      if (answers.get(key)) state.cached++;
      else {
        await answers.add(key, { id: pair.id, ...(await ask(pair)) } satisfies Answer);
        state.asked++;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (isHopeless(error)) throw refused(options, error);
      state.failed++;
      if (state.failures.length < FAILURES_KEPT) state.failures.push(`${pair.id}: ${messageOf(error)}`);
    }
    state.pairs++;
    options.onProgress?.(state);
  };

  try {
    await eachOf(pairs, concurrency, caption);
  } finally {
    await answers.close();
  }
  return state;
}

/** Runs `work` on every item, `concurrency` at a time; the first error ends it, once what is under way has ended. */
async function eachOf<T>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    while (!failure) {
      const next = await iterator.next();
      if (next.done) return;
      await work(next.value);
    }
  };
  const guarded = () =>
    worker().catch((error: unknown) => {
      failure ??= { error };
    });
  await Promise.all(Array.from({ length: concurrency }, guarded));
  if (failure) throw failure.error;
}

async function messagesOf({ input, output, instruction }: PairToCaption) {
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

/** Names what was asked: the pictures, the words, the model and the question. */
function keyOf({ input, output, instruction = "" }: PairToCaption, model: string): string {
  const pixels = [input, output].map(({ width, height, data }) => [
    width,
    height,
    sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
  return sha256(JSON.stringify([QUESTION_VERSION, model, instruction, pixels]));
}

/** A wrong key, model or address: every other request would fail like this one. */
function isHopeless(error: unknown): boolean {
  if (error instanceof OpenAI.APIConnectionError) return true;
  return error instanceof OpenAI.APIError && [400, 401, 403, 404].includes(error.status ?? 0);
}

const refused = ({ baseUrl, model }: CaptionerOptions, error: unknown): XPromptError =>
  new XPromptError(
    `captioning: expected a server at ${baseUrl} with the model ${model}, got: ${messageOf(error)} (check the address, the model and the key; a second run goes on where this one stopped)`,
  );
