/** @file Where words go: one JSON object on standard output if asked for, everything else on standard error. */
import { messageOf, XPromptError } from "../errors.ts";

export const printJson = (result: object): Promise<void> => print(JSON.stringify(result));

/**
 * Writes lines to standard output. A reader that has gone (`| head`) has seen what it wanted.
 * @throws XPromptError when they can not be written, as on a full disk
 */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${text}\n`, (error) => {
      if (!error || (error as NodeJS.ErrnoException).code === "EPIPE") resolve();
      else reject(new XPromptError(`writing to standard output: ${messageOf(error)}`));
    });
  });
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Text from outside as a part of one line: no line ends, nothing that steers a terminal or reorders what is read. */
export function oneLine(text: string): string {
  return text.replace(/\s*[\n\u2028\u2029]\s*/g, " ").replace(/[\p{Cc}\p{Bidi_Control}]/gu, "�");
}

/** "1 example", "2 examples". */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** What was said is not all read: nobody should have to guess. */
export function sayUnread(tokens: number): void {
  if (tokens > 0)
    say(
      `note: the instruction is longer than the model reads: its last ${counted(tokens, "token")} ${tokens === 1 ? "was" : "were"} left out`,
    );
}
