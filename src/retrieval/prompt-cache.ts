/** @file LRU cache of compiled examples. */
import type { VisualPrompt } from "../xprompt/prompt.ts";

const MAX_BYTES = 64 * 2 ** 20;

export class PromptCache {
  /** From the least to the most recently used. */
  private readonly held = new Map<string, VisualPrompt>();
  private bytes = 0;

  get(fingerprint: string, id: string): VisualPrompt | undefined {
    const prompt = this.held.get(`${fingerprint} ${id}`);
    if (prompt) this.set(fingerprint, id, prompt);
    return prompt;
  }

  set(fingerprint: string, id: string, prompt: VisualPrompt): void {
    this.delete(`${fingerprint} ${id}`);
    this.held.set(`${fingerprint} ${id}`, prompt);
    this.bytes += bytesOf(prompt);
    for (const key of this.held.keys()) if (this.bytes > MAX_BYTES) this.delete(key);
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
