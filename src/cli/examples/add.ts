/** @file `xprompt examples add`: adds pairs to a library. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { z } from "zod";
import { UsageError, XPromptError } from "../../errors.ts";
import { loadWithTiff } from "../../image/to-png.ts";
import { Progress } from "../../progress.ts";
import { type Added, checkExample, ExampleLibrary, type NewExample } from "../../retrieval/index.ts";
import { readFileChecked } from "../../runtime/files.ts";
import { openPairs, type PairSource } from "../../tasks/index.ts";
import { type DistanceOptions, withClip, withEmbedder } from "../library-options.ts";
import {
  checkDevice,
  examplesOf,
  type ModelOptions,
  numberFor,
  withExamples,
  withModel,
} from "../options.ts";
import { counted, oneLine, printJson, say } from "../output.ts";
import { type LibraryOptions, named } from "./shared.ts";

const edge = z.int().min(8).max(4096);

interface AddOptions extends ModelOptions, LibraryOptions, Pick<DistanceOptions, "clip"> {
  readonly example?: readonly string[];
  readonly instruction?: string;
  readonly source?: string;
  readonly licence?: string;
  readonly size?: number;
}

export const addCommand = (signal: AbortSignal): Command =>
  withClip(withModel(withExamples(named("add", "Add pairs from data sets, or with --example."))))
    .argument(
      "[set...]",
      "folders of pairs, lists, Parquet files or WebDataset shards (see docs/datasets.md)",
    )
    .option("--instruction <text>", "the instruction of pairs that have none")
    .option("--source <name>", "the source of the pairs. Defaults to the name of the set")
    .option("--licence <name>", "the licence of pairs that state none")
    .option(
      "--size <pixels>",
      "store the pictures as squares of this edge. Defaults to their own size",
      numberFor("--size", edge),
    )
    .action((sets: string[], options: AddOptions) => add(sets, options, signal));

/** The most reasons to print for refused pairs. */
const REASONS = 5;

async function add(sets: readonly string[], options: AddOptions, signal: AbortSignal): Promise<void> {
  const { library: place, instruction, source, licence, size, json } = options;
  const pairs = examplesOf(options.example, instruction);
  if (sets.length + pairs.length === 0)
    throw new UsageError("examples add: expected a data set or --example, got neither");
  checkDevice(options.device);
  const sources: PairSource[] = [];
  for (const path of sets)
    sources.push(await openPairs({ path, split: "all", ...(instruction && { instruction }) }));
  const maps = sources.find(({ format }) => format === "nyuv2" || format === "ade20k");
  if (maps && size === undefined)
    throw new UsageError(
      `examples add: expected --size for ${maps.name}, whose maps are rendered in colours, got none (give --size 512)`,
    );
  const total = pairs.length + sources.reduce((sum, { length }) => sum + length, 0);
  const reasons: string[] = [];
  const own = await Promise.all(
    pairs.map(async ({ input, output, ...rest }): Promise<NewExample> => {
      // Read once before the library is made, so that a wrong one is named and leaves nothing behind.
      const load = async (path: string) => {
        const bytes = await readFileChecked(path, "image");
        const picture = await loadWithTiff(bytes, {
          size: size ?? 64,
          fit: size ? "crop" : "pad",
          name: path,
        });
        return size === undefined ? path : picture;
      };
      return { ...rest, input: await load(input), output: await load(output), source: source ?? "", licence };
    }),
  );
  /** The record of a data set that is being read, for the reasons of refused ones. */
  let current = "";
  async function* all(): AsyncGenerator<NewExample> {
    yield* own;
    for (const set of sources)
      for await (const record of size === undefined ? set.records() : set.decoded(size)) {
        current = record.id;
        yield {
          ...record,
          input: record.input as NewExample["input"],
          source: source ?? record.source,
          licence: record.licence ?? licence,
        };
      }
  }
  /** A new library is made once there is a pair for it: all of --example, or a first good record. */
  const requireGood = async () => {
    for (const example of own) await checkExample(example);
    if (own.length > 0) return;
    const refused: string[] = [];
    for await (const example of all()) {
      signal.throwIfAborted();
      try {
        await checkExample(example);
        return;
      } catch (error) {
        if (!(error instanceof XPromptError)) throw error;
        refused.push(`${current}: ${error.message}`);
      }
    }
    sayRefused([...refused, ...sources.flatMap(({ defects }) => defects.first)]);
    throw noneOf(total);
  };
  if (!existsSync(place)) await requireGood();
  const progress = new Progress({ label: "adding", total, unit: "pairs" });
  const result = await withEmbedder(options, async (embedder) => {
    await using library = await ExampleLibrary.open(place, { create: true });
    const added = await library.add(all(), embedder, {
      signal,
      onProgress: ({ added, known, refused }) => progress.update(added + known + refused),
      // A wrong pair of --example ends the command; in a data set it is skipped.
      onRefused: (error, example) => {
        if (own.includes(example)) throw error;
        if (reasons.length < REASONS) reasons.push(`${current}: ${error.message}`);
      },
    });
    return { ...added, examples: await library.count() };
  }).finally(() => progress.stop());
  const broken = sources.flatMap(({ defects }) => defects.first);
  const skipped = sources.reduce((sum, { defects }) => sum + defects.total, 0);
  const refused = result.refused + skipped;
  sayRefused([...reasons, ...broken]);
  if (result.added + result.known === 0) throw noneOf(total);
  if (json) await printJson({ library: place, ...result, refused });
  else say(summaryOf(place, { ...result, refused }, result.examples));
}

const noneOf = (total: number): XPromptError =>
  new XPromptError(
    `examples add: expected a pair that can be used, got none of ${total} (see the reasons above)`,
  );

function sayRefused(reasons: readonly string[]): void {
  for (const reason of reasons.slice(0, REASONS)) say(`refused: ${oneLine(reason)}`);
}

function summaryOf(place: string, { added, known, refused }: Added, count: number): string {
  const parts = [`added ${added}`, known > 0 && `${known} existing`, refused > 0 && `${refused} refused`];
  return `${parts.filter(Boolean).join(", ")}: ${place} has ${counted(count, "example")}`;
}
