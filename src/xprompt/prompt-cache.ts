/** @file LRU cache of compiled examples. */
import type { VisualPrompt } from "./prompt.ts";

export class PromptCache {
  /** The one that was used last comes last. */
  private readonly held = new Map<string, VisualPrompt>();
  private bytes = 0;

  /** @param maxBytes of keys and values; the prompts that were not used for longest make room */
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
