/**
 * @file Guesses of a picture's next codes. A change mostly maps equal codes of the input to equal codes of the output, or
 * leaves them alone. Without an input, a row resembles the row above.
 */
import type { Codes } from "./sequence.ts";

export interface CodeGuess {
  readonly code: number;
  /** Where it comes from; guesses of one kind are right equally often. */
  readonly kind: "mapped" | "copied" | "above";
}

export class CodeGuesses {
  /** Code of the input → the code that was last sampled in its place. */
  private readonly becomes = new Map<number, number>();
  private readonly side: number;
  private readonly input: Codes | undefined;

  /**
   * @param codes of the picture so far; the caller adds to them
   * @param length codes of a whole picture
   * @param input counts if it is of the same size
   */
  constructor(
    private readonly codes: readonly number[],
    private readonly length: number,
    input?: Codes,
  ) {
    this.input = input?.length === length ? input : undefined;
    this.side = Math.round(Math.sqrt(length));
  }

  /** Learns from the last code. */
  learn(): void {
    const place = this.codes.length - 1;
    if (this.input) this.becomes.set(this.input[place]!, this.codes[place]!);
  }

  /** The code `ahead` places after the next; undefined for the last one, after which nothing is read, and beyond. */
  at(ahead: number): CodeGuess | undefined {
    const place = this.codes.length + ahead;
    if (place >= this.length - 1) return undefined;
    if (this.input) {
      const from = this.input[place]!;
      const code = this.becomes.get(from);
      return code === undefined ? { code: from, kind: "copied" } : { code, kind: "mapped" };
    }
    const code = this.codes[place - this.side] ?? this.codes.at(-1);
    return code === undefined ? undefined : { code, kind: "above" };
  }
}
