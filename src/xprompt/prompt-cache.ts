/** @file LRU cache of compressed examples. */
import type { VisualPrompt } from "./prompt.ts";

export class PromptCache {
  /** In order of use, the most recent last. */
  private readonly held = new Map<string, VisualPrompt>();
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
