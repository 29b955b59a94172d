/**
 * @file Programs that are timed in processes of their own, ours in Node and the peers' in Python. They talk in lines:
 * first one JSON object of facts; then, for every line with the name of a piece of work, `{"ms": …}`; at the end of
 * the input, `{"peakBytes": …}`.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { XPromptError } from "../src/errors.ts";
import { type Run, timed } from "./timing.ts";

const timeSchema = z.strictObject({ ms: z.number() });
const endSchema = z.strictObject({ peakBytes: z.number() });

/** A program in another process, seen from here. */
export class Worker<Facts> {
  private constructor(
    readonly facts: Facts,
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly answer: (line?: string) => Promise<unknown>,
  ) {}

  /** @throws XPromptError when the program ends before it has said what it is */
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
    child.stdin.on("error", () => {}); // its end is seen on its output
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

  /** Does one piece of work over there. */
  run(name: string): Run {
    return async () => timeSchema.parse(await this.answer(name)).ms;
  }

  /** Ends the program. @returns the most memory it ever held, in bytes */
  async end(): Promise<number> {
    this.child.stdin.end();
    return endSchema.parse(await this.answer()).peakBytes;
  }
}

/** Starts one of our own programs in Node. */
export const startNode = <Facts>(
  script: URL,
  settings: object,
  facts: z.ZodType<Facts>,
): Promise<Worker<Facts>> =>
  Worker.start(process.execPath, ["--import", "tsx", fileURLToPath(script), JSON.stringify(settings)], facts);

/** The other side, for our own programs. */
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
