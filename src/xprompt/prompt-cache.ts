/** @file LRU cache of compressed examples. */
import type { VisualPrompt } from "./prompt.ts";

export class PromptCache {
  /** In order of use, the most recent last. */
  private readonly held = new Map<string, VisualPrompt>();
  /** What is being made, by key. */
  private readonly making = new Map<string, Promise<VisualPrompt>>();
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
    this.held.set(key, prompt);
    this.bytes += bytesOf(prompt);
    for (const oldest of this.held.keys()) {
      if (this.bytes <= this.maxBytes) return;
      this.delete(oldest);
    }
  }

  /** The prompt of a key, made once for all that ask for it at the same time. */
  async getOrMake(key: string, make: () => Promise<VisualPrompt>): Promise<VisualPrompt> {
    const found = this.get(key) ?? this.making.get(key);
    if (found) return found;
    const work = make();
    this.making.set(key, work);
    try {
      const prompt = await work;
      this.set(key, prompt);
      return prompt;
    } finally {
      this.making.delete(key);
    }
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
