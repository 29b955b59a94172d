/** @file `xprompt eval SUITE`: measures a model. */
import { existsSync } from "node:fs";
import { Argument, Command, Option } from "commander";
import { z } from "zod";
import { UsageError, XPromptError } from "../errors.ts";
import { evaluate, type Suite, suites } from "../evaluation/index.ts";
import { type JobQueue, spreadOver } from "../queue/index.ts";
import { workWith } from "../runtime/resources.ts";
import { resolveModel } from "../xprompt/models.ts";
import { type Guidance, recommendableSettings, requestSchema } from "../xprompt/request.ts";
import { checkDevice, guidanceText, type ModelOptions, withModel } from "./options.ts";
import { print, printJson, say } from "./output.ts";
import { openQueue, type QueueOptions, withQueue } from "./queue-options.ts";
import { withSettings } from "./setting-options.ts";

interface Options extends ModelOptions, QueueOptions {
  readonly limit?: number;
  readonly out?: string;
  readonly seed: number;
  readonly greedy: boolean;
  readonly temperature?: number;
  readonly topP?: number;
  readonly guidance?: Guidance;
  readonly expected?: boolean;
  readonly onePass?: boolean;
  readonly as?: string;
  readonly for?: string;
  readonly recipe?: string;
  readonly data?: string;
  readonly pictures?: string;
  readonly size?: number;
  readonly json: boolean;
}

/** The seed of reported figures. nano's settings were chosen with the samples of seed 1. */
const REPORT_SEED = 2026;
/** Requests of a server come first. */
const EVAL_PRIORITY = 10;
const evalSchema = z.strictObject({
  limit: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe("samples per task. Defaults to the suite's number"),
  seed: z
    .int()
    .min(0)
    .default(REPORT_SEED)
    .describe("seed of the samples and of sampling. To choose settings, use another seed than for reports"),
  ...requestSchema.pick({ temperature: true, topP: true, guidance: true, expected: true, onePass: true })
    .shape,
  size: z
    .union([z.literal(256), z.literal(1024)])
    .optional()
    .describe("for photos: side of the measured photographs in pixels, 256 or 1024. Defaults to 256"),
});
/** Suites that compare with stored figures of other models. */
const comparing = suites.filter(({ comparisons }) => comparisons);

export function evalCommand(signal: AbortSignal): Command {
  const names = suites.map(({ name }) => name);
  const kinds = comparing.map(({ name, comparisons }) => `${name}: ${comparisons!.join(", ")}`).join("; ");
  const command = new Command("eval")
    .description("Measure a model on a suite, and write a report with pictures.")
    .addArgument(new Argument("<suite>", "what to measure").choices(names))
    .addHelpText(
      "after",
      `\nSuites:\n${suites.map(({ name, description }) => `  ${name.padEnd(16)}${description}`).join("\n")}`,
    );
  withModel(command)
    .option(
      "--out <dir>",
      "folder for results.json, report.html and sheets/; an interrupted evaluation resumes there",
    )
    .option("--greedy", "always choose the most likely code", false)
    .option(
      "--as <kind>",
      `store the figures as those of a comparison model, in the folder of the model --for (${kinds})`,
    )
    .option("--for <model>", "with --as, the model that is compared with it. Defaults to nano")
    .option("--recipe <path>", "with --as, the recipe of the comparison model, stored with the figures")
    .option("--data <dir>", "folder of the data set, or file of prompts, for suites that need one")
    .addOption(
      new Option(
        "--pictures <dir>",
        "folder of gathered pictures (npm run gather -- --out DIR), for photos and icons",
      ).env("XPROMPT_PICTURES"),
    );
  return withSettings(withQueue(command, EVAL_PRIORITY), evalSchema, recommendableSettings)
    .option("--json", "print one JSON object on standard output", false)
    .action((name: string, options: Options) => run(name, options, command, signal));
}

/** @throws UsageError when options that the suite needs are missing, or options do not apply to it */
function checkOptions(
  { name, comparisons, needs = [], takes = [], generatesNothing }: Suite,
  options: Options,
): void {
  const { as, recipe, data, greedy, temperature, topP, guidance, expected, onePass } = options;
  if ((as ?? recipe) !== undefined && !comparisons)
    throw new UsageError(
      `eval ${name}: expected --as and --recipe only with ${comparing.map((each) => each.name).join(" and ")}`,
    );
  if (as !== undefined && !comparisons!.includes(as))
    throw new UsageError(`eval ${name}: --as: expected ${comparisons!.join(" or ")}, got ${as}`);
  if (as === undefined && (options.for ?? recipe) !== undefined)
    throw new UsageError(
      `eval: expected --${recipe === undefined ? "for" : "recipe"} with --as, got it alone`,
    );
  if (greedy && temperature !== undefined)
    throw new UsageError("eval: expected --greedy or --temperature, got both");
  if (
    generatesNothing &&
    (greedy || [temperature, topP, guidance, expected, onePass].some((given) => given !== undefined))
  )
    throw new UsageError(
      `eval ${name}: expected no --greedy, --temperature, --top-p, --guidance, --expected or --one-pass, because it generates no pictures`,
    );
  if (needs.includes("pictures") && !options.pictures)
    throw new UsageError(
      `eval ${name}: expected --pictures or XPROMPT_PICTURES, got neither (run: npm run gather -- --out DIR)`,
    );
  if (options.size !== undefined && !takes.includes("size"))
    throw new UsageError(`eval ${name}: expected no --size, got ${options.size}`);
  for (const needed of needs)
    if (options[needed as keyof Options] === undefined)
      throw new UsageError(`eval ${name}: expected --${needed}, got none (see docs/evaluation.md)`);
  if (data === undefined) return;
  if (!needs.includes("data")) throw new UsageError(`eval ${name}: expected no --data, got ${data}`);
  if (!existsSync(data))
    throw new XPromptError(`eval ${name}: --data: expected a folder or file, found no ${data}`);
}

async function run(name: string, options: Options, command: Command, signal: AbortSignal): Promise<void> {
  const suite = suites.find((each) => each.name === name)!;
  const { as, recipe, data } = options;
  checkOptions(suite, options);
  if (!suite.needs?.includes("pictures") && command.getOptionValueSource("pictures") === "cli")
    throw new UsageError(`eval ${name}: expected no --pictures, got ${options.pictures}`);
  checkDevice(options.device);
  const beside = as && (await resolveModel(options.for ?? "nano"));
  if (beside !== undefined && beside === (await resolveModel(options.model)))
    throw new UsageError(
      `eval ${name}: --as: expected another model than the one that it is compared with, got ${options.model} for both (choose it with --model)`,
    );
  const settings = {
    temperature: options.greedy ? 0 : options.temperature,
    topP: options.topP,
    guidance: options.guidance,
    expected: options.expected,
    onePass: options.onePass,
  };
  const evaluateWith = async (jobs?: JobQueue) =>
    evaluate(suite, {
      model: options.model,
      limit: options.limit,
      seed: options.seed,
      settings,
      out: options.out,
      load: { adapter: options.adapter, device: options.device, threads: options.threads },
      options: {
        as,
        recipe,
        data,
        pictures: options.pictures,
        size: options.size,
        out: options.out,
        beside,
      },
      command: commandOf(suite, options),
      signal,
      ...(jobs && { spread: (model) => spreadOver(jobs, model, signal) }),
    });
  const { result, summary } =
    options.redis === undefined
      ? await evaluateWith()
      : await workWith(async (resources) =>
          evaluateWith(resources.own(await openQueue(options, { waits: true }))),
        );
  if (options.out !== undefined) say(`wrote ${options.out}: results.json, report.html, sheets`);
  if (options.json) await printJson({ ...result, output: options.out });
  else await print(summary.join("\n"));
}

/** The command that reproduces the figures. */
function commandOf(suite: Suite, options: Options): string {
  const parts = ["xprompt", "eval", suite.name, "--model", options.model];
  const add = (flag: string, value: string | number | undefined) => {
    if (value !== undefined) parts.push(flag, String(value));
  };
  add("--adapter", options.adapter);
  if (options.device !== "cpu") add("--device", options.device);
  add("--threads", options.threads);
  add("--limit", options.limit);
  add("--seed", options.seed);
  if (options.greedy) parts.push("--greedy");
  add("--temperature", options.temperature);
  add("--top-p", options.topP);
  add("--guidance", options.guidance && guidanceText(options.guidance));
  for (const [flag, value] of [
    ["expected", options.expected],
    ["one-pass", options.onePass],
  ] as const)
    if (value !== undefined) parts.push(value ? `--${flag}` : `--no-${flag}`);
  add("--as", options.as);
  if (options.as) add("--for", options.for ?? "nano");
  add("--recipe", options.recipe);
  add("--data", options.data);
  if (suite.needs?.includes("pictures")) add("--pictures", options.pictures);
  add("--size", options.size);
  if (suite.needs?.includes("out")) add("--out", options.out);
  return parts.map(quoted).join(" ");
}

/** A word as a POSIX shell takes it. */
const quoted = (word: string): string =>
  /^[\w./:=,@+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
