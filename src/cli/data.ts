/** @file `xprompt data tokenize RECIPE [--key=value …] --out PLACE`: prepares the contexts of a run ahead of it. */
import { Command } from "commander";
import { z } from "zod";
import { UsageError, XPromptError } from "../errors.ts";
import { Progress } from "../progress.ts";
import { tokenizeFingerprint, tokenize as tokenizeJob, tokenizeProgress } from "../queue/index.ts";
import { allOrAbort } from "../runtime/abort.ts";
import {
  applyOverrides,
  loadRecipe,
  recipeKinds,
  Tokenization,
  type TransformerRecipe,
} from "../training/index.ts";
import { flagsOf, numberFor } from "./options.ts";
import { counted, oneLine, printJson, say } from "./output.ts";
import { openQueue, type QueueOptions, withQueue } from "./queue-options.ts";

export function dataCommand(signal: AbortSignal): Command {
  const command = new Command("data").description("Prepare data sets for training.");
  command.addCommand(
    withQueue(new Command("tokenize"), 10)
      .description(
        "Write the contexts of a recipe as tokens, in Parquet shards; train them with --data.tokenized=PLACE. Shards that are there already stay.",
      )
      .argument("<recipe>", "a recipe file (.ts or .js) of a transformer, or the name of a shipped recipe")
      .argument(
        "[overrides...]",
        "settings of the recipe to change, as --key=value; --workers=8 for eight threads",
      )
      .requiredOption("--out <place>", "a folder, or s3://bucket/prefix")
      .option(
        "--batches <n>",
        "how many batches to make. Defaults to the recipe's steps",
        numberFor("--batches", size),
      )
      .option(
        "--shards <n>",
        "how many files to divide them into. Defaults to one per 256 batches",
        numberFor("--shards", size),
      )
      .option("--shard <i/n>", "make the share of machine i of n: 1/8 to 8/8. Defaults to all", shareOf)
      .option("--json", "print one JSON object on standard output", false)
      .allowUnknownOption()
      .action((path: string, overrides: string[], options: Options, own: Command) =>
        tokenize(path, { overrides, known: flagsOf(own) }, options, signal),
      ),
  );
  return command;
}

const size = z.int().min(1);

interface Share {
  readonly machine: number;
  readonly of: number;
}

interface Options extends QueueOptions {
  readonly out: string;
  readonly batches?: number;
  readonly shards?: number;
  readonly shard?: Share;
  readonly json: boolean;
}

/** `2/8` */
function shareOf(text: string): Share {
  const [, machine, of] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [];
  if (machine === undefined || of === undefined || machine < 1 || machine > of)
    throw new UsageError(
      `--shard: expected this machine of how many, from 1/8 to 8/8, got ${JSON.stringify(text)}`,
    );
  return { machine, of };
}

async function tokenize(
  path: string,
  { overrides, known }: { readonly overrides: readonly string[]; readonly known: readonly string[] },
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  const { out, batches, shards, shard, json } = options;
  if (options.redis !== undefined && shard)
    throw new UsageError("data tokenize: expected --shard or --redis, got both (workers share all shards)");
  if (path.startsWith("--"))
    throw new UsageError(`data tokenize: expected the recipe first and then its settings, got ${path} first`);
  const recipe = applyOverrides(await loadRecipe(path, recipeKinds), overrides, recipeKinds, known);
  if (recipe.kind !== "transformer")
    throw new UsageError(
      `data tokenize: expected the recipe of a transformer, got one of kind ${recipe.kind}`,
    );
  const skipped = new Map<string, string>();
  await using work = await Tokenization.open({
    ...{ recipe: recipe as TransformerRecipe, destination: out, batches, shards },
    onSkip: ({ set, row, why }) => skipped.set(`${set}#${row}`, `${set}: ${why}`),
  });
  const { plan } = work;
  const { machine, of } = shard ?? { machine: 1, of: 1 };
  const mine = (await work.missing()).filter((index) => index % of === machine - 1);
  const made =
    options.redis === undefined
      ? await makeShards(work, mine, signal)
      : await handOut(work, mine, recipe, options, { signal, skipped });
  const manifest = await work.finish();
  if (options.redis !== undefined && !manifest)
    throw new XPromptError(
      `data tokenize: expected all shards in ${out} from the workers, got some that are missing (can all machines write there? Start again in two hours, when Redis has forgotten their results, or without --redis)`,
    );
  const [first] = skipped.values();
  if (first !== undefined)
    say(`skipped ${counted(skipped.size, "broken record")} of data sets; the first: ${oneLine(first)}`);
  const counts = manifest && {
    contexts: manifest.shards.reduce((sum, each) => sum + each.contexts, 0),
    tokens: manifest.shards.reduce((sum, each) => sum + each.tokens, 0),
    bytes: manifest.shards.reduce((sum, each) => sum + each.bytes, 0),
  };
  if (json)
    await printJson({
      ...{ out, batches: plan.batches, shards: plan.shards, made, complete: manifest !== undefined },
      ...{ ...counts, seed: plan.seed, skipped: skipped.size },
    });
  else if (counts)
    say(
      `tokenized ${plan.batches} batches (${counts.contexts} contexts, ${counts.tokens} tokens) into ${out}: train with --data.tokenized=${out}`,
    );
  else say(`made ${counted(made, "shard")} of ${plan.shards} in ${out}; others are missing`);
}

function progressOf(work: Tokenization, indices: readonly number[]): Progress {
  const total = indices.reduce((sum, index) => sum + work.sizeOf(index), 0);
  return new Progress({ label: "tokenizing", total, unit: "batches" });
}

/** @returns how many shards were made */
async function makeShards(
  work: Tokenization,
  indices: readonly number[],
  signal: AbortSignal,
): Promise<number> {
  const progress = progressOf(work, indices);
  let done = 0;
  try {
    for (const index of indices) await work.shard(index, { signal, onBatch: () => progress.update(++done) });
  } finally {
    progress.stop();
  }
  return indices.length;
}

/** Has workers make the shards. @returns how many were made */
async function handOut(
  work: Tokenization,
  indices: readonly number[],
  recipe: object,
  options: Options,
  { signal, skipped }: { readonly signal: AbortSignal; readonly skipped: Map<string, string> },
): Promise<number> {
  await using jobs = await openQueue(options, { waits: true });
  const progress = progressOf(work, indices);
  const done = new Map<number, number>();
  const report = (index: number, batches: number) => {
    done.set(index, batches);
    progress.update([...done.values()].reduce((sum, each) => sum + each, 0));
  };
  const { batches, shards } = work.plan;
  const make = async (index: number, signal: AbortSignal) => {
    const data = { recipe: recipe as { kind: "transformer" }, batches, shards, index };
    const result = await jobs.run(tokenizeJob, tokenizeFingerprint(options.out), data, {
      signal,
      onProgress: (each) => {
        const parsed = tokenizeProgress.safeParse(each);
        if (parsed.success) report(index, parsed.data.batches);
      },
    });
    report(index, work.sizeOf(index));
    for (const [record, why] of result.skipped) skipped.set(record, why);
  };
  try {
    await allOrAbort(indices, make, signal);
  } finally {
    progress.stop();
  }
  return indices.length;
}
