/** @file Options of commands that hand work to the workers of `xprompt worker`. */
import { type Command, Option } from "commander";
import { UsageError } from "../errors.ts";
import { JobQueue } from "../queue/index.ts";
import { givenOf, wholeFor } from "./options.ts";
import { say } from "./output.ts";

export interface QueueOptions {
  readonly redis?: string;
  readonly priority: number;
  readonly queueLimit: number;
}

const redis =
  "redis://HOST:PORT, rediss://… (TLS) or unix:///PATH. The password may be in XPROMPT_REDIS_PASSWORD instead";

/** `--redis` of a worker. */
export const withRedis = (command: Command): Command => command.requiredOption("--redis <url>", redis);

/** `--redis`, `--priority` and `--queue-limit` of a command that can also work alone. */
export function withQueue(command: Command, priority: number): Command {
  return command
    .option("--redis <url>", `have workers do it (see xprompt worker): ${redis}`)
    .addOption(
      new Option(
        "--priority <n>",
        `with --redis, which jobs come first: 1 before 100. Defaults to ${priority}`,
      )
        .argParser(wholeFor("--priority", 1, 100))
        .default(priority),
    )
    .addOption(
      new Option("--queue-limit <n>", "with --redis, the most jobs of a kind that wait. Defaults to 1000")
        .argParser(wholeFor("--queue-limit", 1, 1_000_000))
        .default(1000),
    )
    .hook("preAction", (_, acting) => {
      if (acting.getOptionValue("redis") !== undefined) return;
      const alone = givenOf(acting, ["priority", "queueLimit"]);
      if (alone) throw new UsageError(`${alone.long}: expected it with --redis, got it alone`);
    });
}

/** The queue of `--redis`. @throws XPromptError when Redis is away */
export const openQueue = (
  { redis: url, priority, queueLimit: limit }: QueueOptions,
  { waits, log = say }: { readonly waits: boolean; readonly log?: (line: string) => void },
): Promise<JobQueue> => JobQueue.open({ url: url!, priority, limit, waits, log });
