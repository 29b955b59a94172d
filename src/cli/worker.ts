/** @file `xprompt worker`: takes jobs of other commands from Redis. */
import { Command } from "commander";
import { UsageError } from "../errors.ts";
import { checkRedis, jobKinds, startWorker, WorkerModel } from "../queue/index.ts";
import { untilAborted } from "../runtime/abort.ts";
import { workWith } from "../runtime/resources.ts";
import { loadModel } from "./load.ts";
import { checkDevice, type ModelOptions, wholeFor, withModel } from "./options.ts";
import { oneLine, say } from "./output.ts";
import { withRedis } from "./queue-options.ts";

interface Options extends ModelOptions {
  readonly redis: string;
  readonly concurrency: number;
  readonly lock: number;
  readonly kinds?: readonly string[];
  readonly server?: string;
  readonly captionModel?: string;
  readonly tokens?: string;
}

const names = jobKinds.map(({ name }) => name);

export function workerCommand(signal: AbortSignal): Command {
  const command = new Command("worker").description(
    "Do the jobs that eval, examples compile, data tokenize and serve hand out with --redis. Several workers on " +
      "one machine share its processors by --threads; workers may end at any time (docs/scaling.md).",
  );
  return withModel(withRedis(command))
    .option(
      "--concurrency <n>",
      "jobs of each kind that run at once; generating ones share the steps of the model. Defaults to 4",
      wholeFor("--concurrency", 1, 64),
      4,
    )
    .option("--kinds <kind...>", `kinds of jobs to take (${names.join(", ")}). Defaults to all`)
    .option(
      "--lock <s>",
      "seconds after which the jobs of a worker that was killed go to others. Defaults to 30",
      wholeFor("--lock", 1, 3600),
      30,
    )
    .option("--server <url>", "for caption jobs: base URL of a server with a vision-language model")
    .option("--caption-model <name>", "for caption jobs: the model's name on that server")
    .option("--tokens <place>", "for tokenize jobs: the folder, or s3://bucket/prefix, that they write to")
    .action((options: Options) => run(options, signal));
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { redis: url, concurrency, lock: lockSeconds, server, captionModel, tokens } = options;
  const { kinds = names } = options;
  const wrong = kinds.find((name) => !names.includes(name));
  if (wrong !== undefined) throw new UsageError(`--kinds: expected ${names.join(", ")}, got ${wrong}`);
  if ((server === undefined) !== (captionModel === undefined))
    throw new UsageError("worker: expected --server and --caption-model together, got one of them");
  if (options.kinds?.includes("caption") && server === undefined)
    throw new UsageError("worker: expected --server and --caption-model for caption jobs, got neither");
  if (options.kinds?.includes("tokenize") && tokens === undefined)
    throw new UsageError("worker: expected --tokens for tokenize jobs, got none");
  checkDevice(options.device);
  await checkRedis({ url });
  const log = (line: string) => say(oneLine(line));
  await workWith(async (resources) => {
    const xprompt = resources.own(await loadModel(options));
    const worker = resources.own(
      await startWorker({
        ...{ url, concurrency, lockSeconds, log },
        kinds: jobKinds.filter(({ name }) => kinds.includes(name)),
        parts: {
          model: resources.own(new WorkerModel(xprompt)),
          ...(server !== undefined && { captioner: { baseUrl: server, model: captionModel! } }),
          tokens,
        },
      }),
    );
    const taken = worker.queues.map((queue) => queue.replace(/-\w+$/, ""));
    log(
      `taking jobs of model ${options.model} (${xprompt.fingerprint}): ${taken.join(", ")} (Ctrl-C to end)`,
    );
    await untilAborted(signal);
    log("ending once the running jobs have ended (Ctrl-C again to leave them to others)");
  });
}
