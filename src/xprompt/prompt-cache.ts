/** @file LRU cache of compressed examples. */
import { abortable } from "../runtime/abort.ts";
import type { VisualPrompt } from "./prompt.ts";

/** A prompt that is being made, and how many wait for it. */
interface Making {
  readonly work: Promise<VisualPrompt>;
  readonly controller: AbortController;
  waiting: number;
}

export class PromptCache {
  /** In order of use, the most recent last. */
  private readonly held = new Map<string, VisualPrompt>();
  /** What is being made, by key. */
  private readonly making = new Map<string, Making>();
  private bytes = 0;

  /** @param maxBytes limit on keys and values; the least recently used prompts are evicted */
  constructor(private readonly maxBytes: number) {}

  get(key: string): VisualPrompt | undefined {
    const prompt = this.held.get(key);
    if (prompt) this.set(key, prompt);
    return prompt;
  }

  set(key: string, prompt: VisualPrompt): void {
    this.delete(key);
    if (bytesOf(prompt) > this.maxBytes) return;
    this.held.set(key, prompt);
    this.bytes += bytesOf(prompt);
    for (const oldest of this.held.keys()) {
      if (this.bytes <= this.maxBytes) return;
      this.delete(oldest);
    }
  }

  /**
   * The prompt of a key, made once for all that ask for it at the same time.
   * @param make its signal is aborted when nobody waits for the prompt any more
   * @throws the signal's reason when it is aborted; the others go on waiting
   */
  async getOrMake(
    key: string,
    make: (signal: AbortSignal) => Promise<VisualPrompt>,
    signal?: AbortSignal,
  ): Promise<VisualPrompt> {
    const held = this.get(key);
    if (held) return held;
    const making = this.making.get(key) ?? this.begin(key, make);
    making.waiting++;
    try {
      return await abortable(making.work, signal);
    } finally {
      making.waiting--;
      if (making.waiting === 0) this.end(key, making);
    }
  }

  private begin(key: string, make: (signal: AbortSignal) => Promise<VisualPrompt>): Making {
    const controller = new AbortController();
    const work = make(controller.signal).then((prompt) => {
      this.set(key, prompt);
      return prompt;
    });
    const making = { work, controller, waiting: 0 };
    this.making.set(key, making);
    return making;
  }

  /** Who asks next does not wait for what has ended. */
  private end(key: string, making: Making): void {
    if (this.making.get(key) === making) this.making.delete(key);
    making.controller.abort();
  }

  private delete(key: string): void {
    const prompt = this.held.get(key);
    if (!prompt) return;
    this.held.delete(key);
    this.bytes -= bytesOf(prompt);
  }
}

const bytesOf = ({ blocks }: VisualPrompt): number =>
  blocks
    .flatMap(({ layers }) => layers)
    .reduce((sum, { keys, values }) => sum + keys.byteLength + values.byteLength, 0);
