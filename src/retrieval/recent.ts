/** @file Compiled examples that were used lately, in memory: those that are asked for often are asked for again. */
import type { VisualPrompt } from "../xprompt/prompt.ts";

/** The most memory that they take. */
const MAX_BYTES = 64 * 2 ** 20;

export class RecentPrompts {
  /** The one that was used last comes last. */
  private readonly held = new Map<string, VisualPrompt>();
  private bytes = 0;

  get(fingerprint: string, id: string): VisualPrompt | undefined {
    const prompt = this.held.get(`${fingerprint} ${id}`);
    if (prompt) this.keep(fingerprint, id, prompt);
    return prompt;
  }

  keep(fingerprint: string, id: string, prompt: VisualPrompt): void {
    this.drop(`${fingerprint} ${id}`);
    this.held.set(`${fingerprint} ${id}`, prompt);
    this.bytes += bytesOf(prompt);
    for (const key of this.held.keys()) if (this.bytes > MAX_BYTES) this.drop(key);
  }

  private drop(key: string): void {
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
