/**
 * @file The command line, with one file per command. This one collects the commands, and turns errors into one line on
 * standard error and an exit status: 0, 1 (failure), 2 (wrong usage), 130 (interrupted).
 */
import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { Interrupted, messageOf, ReportedElsewhere, UsageError, XPromptError } from "../errors.ts";
import { meant } from "../spelling.ts";
import { oneLine, say } from "./output.ts";

/**
 * The most bytes of a command line. onnxruntime matches /proc/self/cmdline with a recursive regular expression, which
 * overflows the stack at about 28,000 bytes and ends the process without a message.
 */
const MAX_LENGTH = 20_000;

/** The commands in the order of the help. Each is loaded on demand, which saves loading the libraries of the others. */
const commands: Readonly<Record<string, () => Promise<(signal: AbortSignal) => Command>>> = {
  generate: async () => (await import("./generate.ts")).generateCommand,
  compress: async () => (await import("./compress.ts")).compressCommand,
  describe: async () => (await import("./describe.ts")).describeCommand,
  complete: async () => (await import("./complete.ts")).completeCommand,
  init: async () => (await import("./init.ts")).initCommand,
  train: async () => (await import("./train.ts")).trainCommand,
  data: async () => (await import("./data.ts")).dataCommand,
  eval: async () => (await import("./eval.ts")).evalCommand,
  examples: async () => (await import("./examples.ts")).examplesCommand,
  caption: async () => (await import("./caption.ts")).captionCommand,
  worker: async () => (await import("./worker.ts")).workerCommand,
  serve: async () => (await import("./serve.ts")).serveCommand,
  mcp: async () => (await import("./mcp.ts")).mcpCommand,
  convert: async () => (await import("./convert.ts")).convertCommand,
  inspect: async () => (await import("./inspect.ts")).inspectCommand,
  export: async () => (await import("./export.ts")).exportCommand,
};

const AFTER_HELP = `
Example:
  xprompt generate --example a.png b.png --input photo.jpg --output result.png

Exit status: 0 done, 1 failure, 2 wrong usage, 130 interrupted.
xprompt COMMAND --help lists the options of a command.`;

/** Ask for the version alone, which needs no command. */
const VERSION = ["-V", "--version"];

/** The command of that name; all commands for any other word, such as --help. */
function commandsFor(name: string | undefined): Promise<((signal: AbortSignal) => Command)[]> {
  if (name !== undefined && VERSION.includes(name)) return Promise.resolve([]);
  const loaders =
    name !== undefined && Object.hasOwn(commands, name) ? [commands[name]!] : Object.values(commands);
  return Promise.all(loaders.map((load) => load()));
}

/**
 * The arguments in the form that commander helps with: `help A B` becomes `A B --help`; after an unknown command, all other
 * words are dropped.
 */
function plainly(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv;
  if (first === "help" && rest.length > 0) return plainly([...rest, "--help"]);
  const isWord = first !== undefined && first !== "help" && !first.startsWith("-");
  return isWord && !Object.hasOwn(commands, first) ? [first] : argv;
}

/** Runs the command line with its arguments (without `node` and the script) and returns the exit status. */
export async function main(given: readonly string[]): Promise<number> {
  const argv = plainly(given);
  const interrupt = new AbortController();
  const onSignal = endOnSecond(
    () => interrupt.abort(new Interrupted()),
    (signal) => {
      process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
      process.kill(process.pid, signal);
    },
  );
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  const program = new Command("xprompt")
    .description("In-context image generation: show before → after pairs, get the same change on your image.")
    .version(version, VERSION.join(", "))
    .addHelpText("after", AFTER_HELP)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .configureHelp({
      subcommandTerm: (command) => command.name(),
      subcommandDescription: (command) => command.description().replace(/(?<=\.) .*/s, ""),
      // The descriptions contain the defaults.
      optionDescription: ({ description, argChoices }) =>
        argChoices ? `${description} (choices: ${argChoices.join(", ")})` : description,
    });
  // Ignore EPIPE; other write errors surface at the call.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  try {
    checkArguments(argv);
    for (const command of await commandsFor(argv[0]))
      program.addCommand(inherit(command(interrupt.signal), program));
    if (argv.length === 0) {
      process.stderr.write(program.helpInformation());
      return 2;
    }
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    return report(error, commandOf(program, argv), argv, interrupt.signal.aborted);
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** Milliseconds within which signals are one: npx passes on those that a terminal has sent to this process as well. */
const SAME_SIGNAL = 1000;

/**
 * A handler of signals: the first one interrupts, one that comes later ends the process at once.
 * @param now milliseconds
 */
export function endOnSecond(
  interrupt: () => void,
  end: (signal: NodeJS.Signals) => void,
  now = () => performance.now(),
): (signal: NodeJS.Signals) => void {
  let [isInterrupted, last] = [false, Number.POSITIVE_INFINITY];
  return (signal) => {
    if (isInterrupted && now() > last) end(signal);
    if (isInterrupted) return;
    isInterrupted = true;
    interrupt();
    // What came while the process was busy is handled before.
    setImmediate(() => {
      last = now() + SAME_SIGNAL;
    });
  };
}

/**
 * Gives a command and its subcommands the settings of the program: their errors are thrown, too. The usage has the
 * options that must be given.
 */
function inherit(command: Command, program: Command): Command {
  for (const child of command.commands) inherit(child, program);
  command.hook("preAction", (_, action) => checkValues(action));
  const required = command.options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags);
  if (required.length > 0) command.usage([...required, command.usage()].join(" "));
  return command.exitOverride().copyInheritedSettings(program);
}

/**
 * Commander takes the next word as an option's value, whatever it is.
 * @throws UsageError for an option of the command in place of another one's value
 */
function checkValues(command: Command): void {
  const known = command.options.flatMap(({ long }) => long ?? []);
  for (const option of command.options) {
    const values: unknown[] = [command.getOptionValue(option.attributeName())].flat();
    const wrong = values.find((value) => known.includes(value as string));
    if (wrong !== undefined)
      throw new UsageError(
        `${option.long}: expected a value, got ${wrong} (for a file of that name, ./${wrong})`,
      );
  }
}

function checkArguments(argv: readonly string[]): void {
  const garbled = argv.find((argument) => argument.includes("\ufffd"));
  if (garbled !== undefined)
    throw new UsageError(`expected names and words in UTF-8, got ${garbled} (rename the file)`);
  const length = argv.reduce((sum, argument) => sum + Buffer.byteLength(argument) + 1, 0);
  if (length > MAX_LENGTH)
    throw new UsageError(
      `expected a command line of at most ${MAX_LENGTH} bytes, got ${length} (use fewer words; compress many examples in several files, and pass those to generate --prompt)`,
    );
}

/** The command or subcommand that the arguments name. */
function commandOf(program: Command, argv: readonly string[]): Command {
  const child = program.commands.find((each) => each.name() === argv[0]);
  return child ? commandOf(child, argv.slice(1)) : program;
}

function report(error: unknown, command: Command, argv: readonly string[], interrupted: boolean): number {
  if (error instanceof ReportedElsewhere) return error.exitCode;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    if (error.code === "commander.help") {
      process.stderr.write(command.helpInformation()); // a group of commands without one of them
      return 2;
    }
    const message =
      misspelt(error, command, argv) ?? wrongChoice(error) ?? error.message.replace(/^error: /, "");
    const path = [command.parent, command].flatMap((each) => each?.name() ?? []).join(" ");
    complain(`${message} (see ${path.replace(/^(?!xprompt)/, "xprompt ")} --help)`);
    return 2;
  }
  // After an interruption other errors only follow from it; an XPromptError, such as a full disk, is still reported.
  const known = interrupted && !(error instanceof XPromptError) ? new Interrupted() : error;
  if (known instanceof XPromptError) {
    complain(known.message);
    return known.exitCode;
  }
  complain(
    `internal error: ${messageOf(error)} (please report it, with what the command prints with XPROMPT_DEBUG=1)`,
  );
  if (process.env.XPROMPT_DEBUG) console.error(error);
  return 1;
}

/** The error of a value that is none of the allowed ones, with the nearest of them. */
function wrongChoice({ code, message }: CommanderError): string | undefined {
  if (code !== "commander.invalidArgument") return undefined;
  const [, got, , choices] =
    /'([^']*)' is invalid( for argument '.*')?\. Allowed choices are (.*)\.$/s.exec(message) ?? [];
  const name = /option '(\S+)/.exec(message)?.[1] ?? /for argument '(.*?)'/.exec(message)?.[1];
  if (got === undefined || choices === undefined || name === undefined) return undefined;
  return `${name}: expected one of ${choices}, got "${got}"${meant(got, choices.split(", "))}`;
}

/** Commander checks for missing options before unknown ones, so it reports a misspelt option as a missing one. */
function misspelt(error: CommanderError, { options }: Command, argv: readonly string[]): string | undefined {
  if (error.code !== "commander.missingMandatoryOptionValue") return undefined;
  const known = options.flatMap(({ long }) => long ?? []);
  const given = argv.filter((each) => each.startsWith("--")).map((each) => each.replace(/=.*/s, ""));
  const wrong =
    given.find((each) => each !== "--" && each !== "--help" && !known.includes(each)) ??
    argv.find((each) => /^-[A-Za-z]$/.test(each) && each !== "-h");
  if (wrong !== undefined) return `unknown option '${wrong}'${meant(wrong, known)}`;
  // The missing option was taken as the value of the one before it.
  const missing = /'(--[\w-]+)/.exec(error.message)?.[1];
  const before = missing === undefined ? undefined : argv[argv.indexOf(missing) - 1];
  return before?.startsWith("--") ? `${before}: expected a value, got ${missing}` : undefined;
}

const complain = (message: string): void => say(`xprompt: ${oneLine(message)}`);
