/** @file Where words go: one JSON object on standard output if asked for, everything else on standard error. */

export function printJson(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
