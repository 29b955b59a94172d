/**
 * @file Timed programs in separate processes, ours in Node and the peers in Python. The protocol is line-based: first one
 * JSON object with facts; then `{"ms": …}` for every line with the name of a piece of work; `{"peakBytes": …}` at the end
 * of the input.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { XPromptError } from "../src/errors.ts";
import { type Run, timed } from "./timing.ts";

const timeSchema = z.strictObject({ ms: z.number() });
const endSchema = z.strictObject({ peakBytes: z.number() });

/** Client of a program in another process. */
export class Worker<Facts> {
  private constructor(
    readonly facts: Facts,
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly answer: (line?: string) => Promise<unknown>,
  ) {}

  /** @throws XPromptError when the program ends before it has printed its facts */
  static async start<Facts>(
    command: string,
    args: readonly string[],
    facts: z.ZodType<Facts>,
  ): Promise<Worker<Facts>> {
    const child = spawn(command, args, { stdio: "pipe" });
    const failed = new Promise<never>((_, reject) => child.once("error", reject));
    failed.catch(() => {});
    let [said, where] = ["", `running ${command} ${args[0]}`];
    child.stderr.on("data", (text: Buffer) => {
      said = (said + text.toString()).slice(-2000);
    });
    child.stdin.on("error", () => {}); // the end of the output reports it
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const answer = async (line?: string): Promise<unknown> => {
      if (line !== undefined) child.stdin.write(`${line}\n`);
      const { value, done } = await Promise.race([lines.next(), failed]);
      if (!done) return JSON.parse(value as string);
      throw new XPromptError(`${where}: it ended early: ${said.trim().split("\n").at(-1)}`);
    };
    const known = facts.parse(await answer());
    where = `timing with ${command} ${args[0]}`;
    return new Worker(known, child, answer);
  }

  /** Runs one piece of work in the program. */
  run(name: string): Run {
    return async () => timeSchema.parse(await this.answer(name)).ms;
  }

  /** Ends the program. @returns its peak memory in bytes */
  async end(): Promise<number> {
    this.child.stdin.end();
    return endSchema.parse(await this.answer()).peakBytes;
  }
}

/** Starts one of our programs in Node. */
export const startNode = <Facts>(
  script: URL,
  settings: object,
  facts: z.ZodType<Facts>,
): Promise<Worker<Facts>> =>
  Worker.start(process.execPath, ["--import", "tsx", fileURLToPath(script), JSON.stringify(settings)], facts);

/** The server side of the protocol, for our programs. */
export async function serve(
  facts: object,
  works: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<void> {
  const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
  say(facts);
  for await (const name of createInterface({ input: process.stdin }))
    say({ ms: await timed(works[name]!)() });
  say({ peakBytes: process.resourceUsage().maxRSS * 1024 });
}
