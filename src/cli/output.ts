/** @file Output: results on standard output, with --json as one JSON object; everything else on standard error. */
import { messageOf, XPromptError } from "../errors.ts";

export const printJson = (result: object): Promise<void> => print(JSON.stringify(result));

/**
 * Writes lines to standard output. A closed pipe (`| head`) is no error.
 * @throws XPromptError when writing fails, for example on a full disk
 */
export const print = (text: string): Promise<void> => printBytes(`${text}\n`);

/** Writes to standard output. @throws XPromptError as `print` */
export function printBytes(bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => {
      if (!error || (error as NodeJS.ErrnoException).code === "EPIPE") resolve();
      else reject(new XPromptError(`writing to standard output: ${messageOf(error)}`));
    });
  });
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Makes text from outside safe for one line: without line ends, control characters and bidirectional marks. */
export function oneLine(text: string): string {
  return text.replace(/\s*[\n\u2028\u2029]\s*/g, " ").replace(/[\p{Cc}\p{Bidi_Control}]/gu, "�");
}

/** "1 example", "2 examples". */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Says how much of an instruction was cut off. */
export function sayUnread(tokens: number): void {
  if (tokens > 0)
    say(
      `note: the instruction is too long for the model: its last ${counted(tokens, "token")} ${tokens === 1 ? "was" : "were"} cut off`,
    );
}
