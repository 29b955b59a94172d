/**
 * @file The command line. One file a command; this one puts them together and turns what goes wrong into one line on
 * standard error and an exit status: 0, 1 (it failed), 2 (wrong usage), 130 (interrupted).
 */
import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { captionCommand } from "./caption.ts";
import { completeCommand } from "./complete.ts";
import { compressCommand } from "./compress.ts";
import { convertCommand } from "./convert.ts";
import { describeCommand } from "./describe.ts";
import { evalCommand } from "./eval.ts";
import { examplesCommand } from "./examples.ts";
import { exportCommand } from "./export.ts";
import { generateCommand } from "./generate.ts";
import { initCommand } from "./init.ts";
import { inspectCommand } from "./inspect.ts";
import { oneLine, say } from "./output.ts";
import { trainCommand } from "./train.ts";

/**
 * Bytes of a command line. onnxruntime reads its process's own (/proc/self/cmdline) with a recursive regular
 * expression, which overflows the stack, and ends the process without a word, at about 28,000.
 */
const LONGEST = 20_000;

/** Runs the command line with its arguments (without `node` and the script) and returns the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort(new XPromptError("interrupted"));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  const program = new Command("xprompt")
    .description("In-context image generation: show before → after pairs, get the same change on your image.")
    .version(version)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  for (const command of [
    generateCommand,
    compressCommand,
    describeCommand,
    completeCommand,
    initCommand,
    trainCommand,
    evalCommand,
    examplesCommand,
    captionCommand,
    convertCommand,
    inspectCommand,
    exportCommand,
  ])
    program.addCommand(command(interrupt.signal).exitOverride().copyInheritedSettings(program));
  // A reader that has gone away is no failure; what else went wrong with a write is told by who wrote.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  try {
    checkLength(argv);
    if (argv.length === 0) {
      process.stderr.write(program.helpInformation());
      return 2;
    }
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    return report(error, interrupt.signal.aborted);
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function checkLength(argv: readonly string[]): void {
  const length = argv.reduce((sum, argument) => sum + Buffer.byteLength(argument) + 1, 0);
  if (length > LONGEST)
    throw new UsageError(
      `expected a command line of at most ${LONGEST} bytes, got ${length} (for many examples: compress some at a time, and give generate each --prompt)`,
    );
}

function report(error: unknown, interrupted: boolean): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    complain(`${error.message.replace(/^error: /, "")} (see xprompt --help)`);
    return 2;
  }
  if (interrupted) {
    complain("interrupted");
    return 130;
  }
  if (error instanceof XPromptError) {
    complain(error.message);
    return error.exitCode;
  }
  complain(`internal error: ${messageOf(error)} (please report it)`);
  if (process.env.XPROMPT_DEBUG) console.error(error);
  return 1;
}

const complain = (message: string): void => say(`xprompt: ${oneLine(message)}`);
