/** @file The questions of an evaluation, handed to workers in shards of several, each a job. */
import { setMaxListeners } from "node:events";
import type { z } from "zod";
import { Interrupted } from "../errors.ts";
import type { Spread } from "../evaluation/rehearsal.ts";
import { sha256 } from "../hash.ts";
import { createImage } from "../image/index.ts";
import { checkedSize } from "../image/load.ts";
import type { CompressOptions, Example, XPrompt } from "../xprompt/model.ts";
import { checkedResult } from "./data.ts";
import type { JobQueue } from "./job-queue.ts";
import type { JobKind } from "./kind.ts";
import { evaluate } from "./kinds/evaluate.ts";
import type { generate } from "./kinds/generate.ts";
import { type PackedPicture, packInBytes } from "./pictures.ts";
import { deferPrompt } from "./prompts.ts";
import { type Ask, remoteModel } from "./remote-model.ts";

/** Questions of a shard: what a worker that dies has to do again. */
const SHARD = 8;
/** Characters of a shard's questions, which are JSON, from which on it is handed out: far below the most of a job. */
const SHARD_LENGTH = 8 * 2 ** 20;
/** Shards that are asked for ahead of their use. */
const AHEAD = 128;

interface Question {
  readonly kind: JobKind;
  /** Names the question. */
  readonly key: string;
  /** Until the question is part of a job. */
  data: object | undefined;
  readonly length: number;
  /** Set once the question is part of a job. */
  isAsked: boolean;
  /** How often the suite will want the answer. */
  uses: number;
  readonly answer: Promise<unknown>;
  settle(row: unknown): void;
  fail(error: unknown): void;
}

/**
 * Spreads an evaluation over the workers of a queue.
 * @param model the caller releases it
 */
export function spreadOver(jobs: JobQueue, model: XPrompt, signal?: AbortSignal): Spread {
  const shards = new Shards(jobs, model, signal);
  const withoutCompression = (ask: Ask): XPrompt => {
    // Workers compress: blocks would be larger than the pictures.
    const compress = async (examples: readonly Example[], options: CompressOptions = {}) => {
      options.signal?.throwIfAborted();
      return deferPrompt(model.fingerprint, examples);
    };
    return Object.assign(remoteModel(model, ask), { compress });
  };
  return {
    rehearsing: withoutCompression(shards.note),
    model: withoutCompression(shards.answer),
    rehearsed: () => shards.rehearsed(),
    stop: () => shards.stop(),
  };
}

class Shards {
  private readonly questions = new Map<string, Question>();
  private waiting: Question[] = [];
  private isRehearsed = false;
  private readonly controller = new AbortController();
  private readonly signal: AbortSignal;
  private readonly running = new Set<Promise<void>>();

  constructor(
    private readonly jobs: JobQueue,
    private readonly model: XPrompt,
    signal?: AbortSignal,
  ) {
    const own = this.controller.signal;
    this.signal = signal ? AbortSignal.any([signal, own]) : own;
    // Each job listens to it.
    setMaxListeners(0, this.signal);
  }

  /** Notes a question, and gives a blank answer. */
  readonly note: Ask = async (kind, data) => {
    this.signal.throwIfAborted();
    const question = this.questionOf(kind, data);
    question.uses++;
    if (!question.isAsked) {
      question.isAsked = true;
      const length = this.waiting.reduce((sum, each) => sum + each.length, question.length);
      if (length > SHARD_LENGTH) this.flush();
      this.waiting.push(question);
      if (this.waiting.length >= SHARD) this.flush();
      while (this.running.size >= AHEAD) await Promise.race(this.running);
    }
    return (await blankAnswer(kind, data, this.model)) as never;
  };

  /** The answer of a worker. */
  readonly answer: Ask = async (kind, data) => {
    const question = this.questionOf(kind, data);
    if (this.isRehearsed && !question.isAsked) this.submit([question]);
    const row = await question.answer;
    if (--question.uses === 0) this.questions.delete(question.key);
    return row as never;
  };

  /** After the rehearsal: whatever is wanted and was not noted is asked by itself. */
  rehearsed(): void {
    this.flush();
    this.isRehearsed = true;
    const unforeseen = [...this.questions.values()].filter(({ isAsked }) => !isAsked);
    if (unforeseen.length > 0) this.submit(unforeseen);
  }

  /** Cancels what nobody wants any more. */
  async stop(): Promise<void> {
    this.controller.abort(new Interrupted("the evaluation has ended"));
    await Promise.all(this.running);
  }

  private questionOf(kind: JobKind, data: object): Question {
    const text = JSON.stringify([kind.name, data]);
    const key = sha256(text);
    const known = this.questions.get(key);
    if (known) return known;
    let [settle, fail] = [(_: unknown) => {}, (_: unknown) => {}];
    const answer = new Promise<unknown>((resolve, reject) => {
      [settle, fail] = [resolve, reject];
    });
    answer.catch(() => {}); // the suite may end before it wants it
    const question = { kind, key, data, length: text.length, isAsked: false, uses: 0, answer, settle, fail };
    this.questions.set(key, question);
    return question;
  }

  private flush(): void {
    if (this.waiting.length > 0) this.submit(this.waiting);
    this.waiting = [];
  }

  private submit(questions: readonly Question[]): void {
    const calls = questions.map(({ kind, data }) => ({ kind: kind.name, data: data! }));
    for (const question of questions) {
      question.isAsked = true;
      question.data = undefined;
    }
    const job = this.jobs.run(evaluate, this.model.fingerprint, { calls }, { signal: this.signal }).then(
      ({ rows }) => {
        for (const [i, question] of questions.entries()) {
          try {
            question.settle(checkedResult(question.kind, rows[i]));
          } catch (error) {
            question.fail(error);
          }
        }
      },
      (error: unknown) => {
        for (const question of questions) question.fail(error);
      },
    );
    this.running.add(job);
    void job.then(() => this.running.delete(job));
  }
}

/** An answer of the right shape that says nothing. */
async function blankAnswer(kind: JobKind, data: object, { size, codesPerImage }: XPrompt): Promise<unknown> {
  const { width, height } = (await sizeOfResult(data)) ?? { width: size, height: size };
  const blank = await packInBytes(createImage(width, height));
  const codes = Array.from({ length: codesPerImage }, () => 0);
  switch (kind.name) {
    case "generate":
      return {
        ...{ images: [blank], codes: [codes], seed: 0, model: "" },
        settings: { temperature: 1, topK: 0, topP: 1, guidance: 1, expected: false, onePass: false },
        tokens: { examples: 0, prompt: 0, generated: 0, unread: 0 },
        steps: { runs: 0, drafted: 0, accepted: 0 },
        timings: { prepare: 0, draw: 0, decode: 0, total: 0 },
      } satisfies z.output<typeof generate.result>;
    case "reconstruct":
      return { pictures: (data as { pictures: unknown[] }).pictures.map(() => blank) };
    case "describe":
      return { text: "" };
    default:
      return { nats: codes };
  }
}

/** The size of the input, for a result of that size. */
async function sizeOfResult(
  data: object,
): Promise<{ readonly width: number; readonly height: number } | undefined> {
  const { fullSize, input } = data as { readonly fullSize?: boolean; readonly input?: PackedPicture };
  if (!fullSize || !input) return undefined;
  if ("floats" in input) return input;
  return checkedSize(Buffer.from("file" in input ? input.file : input.png, "base64"), "reading the input");
}
