/**
 * @file Captions of differences by a vision-language model (paper: Qwen2-VL) on any server that speaks OpenAI's
 * protocol, with parallel requests, bounded retries, and answers stored on disk.
 */
import { messageOf, XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { Answers } from "./answers.ts";
import { type Caption, parseAnswer, QUESTION_VERSION } from "./caption.ts";
import { type Asked, isHopeless, type ServerOptions, VisionServer } from "./server.ts";

/** A pair to be captioned. */
export interface PairToCaption extends Asked {
  readonly id: string;
}

export interface CaptionerOptions extends ServerOptions {
  /** File of the answers, JSON lines. A second run continues it. */
  readonly answers: string;
  /** Parallel requests. Defaults to 4. */
  readonly concurrency?: number;
  onProgress?(state: CaptionerState): void;
}

export interface CaptionerState {
  /** Pairs seen. */
  readonly pairs: number;
  /** New answers. */
  readonly asked: number;
  /** Answers found on disk. */
  readonly cached: number;
  /** Pairs without a valid answer, with the first reasons. */
  readonly failed: number;
  readonly failures: readonly string[];
  /** Token counts of the server. */
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const FAILURES_KEPT = 20;

/** Give up a server after this many failures without any answer. */
const PATIENCE = 4;

/**
 * Captions pairs, and stores the answers in a file.
 * @returns the counts; pairs that failed are not in the file and can be tried again
 * @throws XPromptError when the server is unreachable, refuses the key, the model or the address, or answers none of
 * the first few questions; if the file has other content, or cannot be written
 */
export async function captionPairs(
  pairs: AsyncIterable<PairToCaption> | Iterable<PairToCaption>,
  options: CaptionerOptions,
): Promise<CaptionerState> {
  const { concurrency = 4, retries, signal } = options;
  const server = new VisionServer(options);
  const answers = await Answers.open(options.answers);
  const state = {
    ...{ pairs: 0, asked: 0, cached: 0, failed: 0, promptTokens: 0, completionTokens: 0 },
    failures: [] as string[],
  };

  const ask = (pair: PairToCaption): Promise<Caption> => askCaption(server, pair, state, retries);

  /** Counts a pair without an answer. @throws the reason, if all other pairs would fail too */
  const leaveOut = ({ id }: PairToCaption, error: unknown): undefined => {
    signal?.throwIfAborted();
    if (isHopeless(error) || (!server.hasAnswered && state.failed + 1 >= PATIENCE))
      throw refused(options, error);
    state.failed++;
    if (state.failures.length < FAILURES_KEPT) state.failures.push(`${id}: ${messageOf(error)}`);
  };

  const caption = async (pair: PairToCaption): Promise<void> => {
    signal?.throwIfAborted();
    const key = keyOf(pair, options.model);
    const known = answers.get(key);
    const answer = known ?? (await ask(pair).catch((error: unknown) => leaveOut(pair, error)));
    if (answer) {
      await answers.add(key, { id: pair.id, ...answer });
      if (known) state.cached++;
      else state.asked++;
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

/** Token counts of a server, so far. */
export interface CaptionUsage {
  promptTokens: number;
  completionTokens: number;
}

/**
 * Asks what a pair changes, again where the answer is invalid.
 * @param usage counts the tokens, also of invalid answers
 */
export async function askCaption(
  server: VisionServer,
  pair: Asked,
  usage: CaptionUsage,
  retries = 2,
): Promise<Caption> {
  for (let attempt = 0; ; attempt++) {
    const { choices, usage: used } = await server.ask(pair);
    usage.promptTokens += used.prompt_tokens;
    usage.completionTokens += used.completion_tokens;
    try {
      return parseAnswer(choices[0]?.message.content ?? "");
    } catch (error) {
      if (attempt >= retries) throw error;
    }
  }
}

/** Runs `work` on every item, `concurrency` in parallel. Rethrows the first error after the running work has ended. */
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

/** The key of a request: a hash of pictures, words, model and question. */
function keyOf({ input, output, instruction = "" }: PairToCaption, model: string): string {
  const pixels = [input, output].map(({ width, height, data }) => [
    width,
    height,
    sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
  return sha256(JSON.stringify([QUESTION_VERSION, model, instruction, pixels]));
}

const refused = ({ baseUrl, model }: CaptionerOptions, error: unknown): XPromptError =>
  new XPromptError(
    `captioning: expected a server at ${baseUrl} with the model ${model}, got: ${messageOf(error)} (check the address, the model and the key; a second run continues where this one stopped)`,
  );
