/** @file `xprompt examples`: manages the example library of `generate --library`. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Command } from "commander";
import { z } from "zod";
import { UsageError, XPromptError } from "../errors.ts";
import { savePng } from "../image/index.ts";
import { loadWithTiff } from "../image/to-png.ts";
import { Progress } from "../progress.ts";
import { type JobQueue, remoteModel } from "../queue/index.ts";
import {
  type Added,
  compileExamples,
  ExampleLibrary,
  exampleSheet,
  exportExamples,
  type Facts,
  type NewExample,
} from "../retrieval/index.ts";
import { allOrAbort } from "../runtime/abort.ts";
import { readFileChecked } from "../runtime/files.ts";
import { workWith } from "../runtime/resources.ts";
import { openPairs, type PairSource } from "../tasks/index.ts";
import type { XPrompt } from "../xprompt/model.ts";
import { requestSchema } from "../xprompt/request.ts";
import {
  type DistanceOptions,
  weightsOf,
  withClip,
  withEmbedder,
  withLibrary,
  withWeights,
} from "./library-options.ts";
import { loadModel } from "./load.ts";
import {
  checkDevice,
  checkExtension,
  checkOutput,
  examplesOf,
  type ModelOptions,
  numberFor,
  wholeFor,
  withExamples,
  withModel,
} from "./options.ts";
import { counted, oneLine, print, printJson, say } from "./output.ts";
import { openQueue, type QueueOptions, withQueue } from "./queue-options.ts";

const DEFAULT_PLACE = "examples-library";

const edge = z.int().min(8).max(4096);

export function examplesCommand(signal: AbortSignal): Command {
  const command = new Command("examples").description(
    "Manage a library of before → after pairs, and search it.",
  );
  const named = (name: string, description: string) =>
    withLibrary(new Command(name).description(description), DEFAULT_PLACE).option(
      "--json",
      "print one JSON object on standard output",
      false,
    );
  command.addCommand(
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
      .action((sets: string[], options: AddOptions) => add(sets, options, signal)),
  );
  command.addCommand(
    named("list", "List examples in the order in which they were added.")
      .option("--limit <n>", "the most examples to list. Defaults to 20", wholeFor("--limit"), 20)
      .option("--offset <n>", "how many to skip. Defaults to 0", wholeFor("--offset"), 0)
      .action(list),
  );
  command.addCommand(
    withWeights(
      withClip(withModel(named("search", "Search the examples nearest to an instruction or a picture."))),
    )
      .argument("[instruction]", "what to search for, in words")
      .option("--input <picture>", "the picture to change")
      .option("--k <n>", "the most results. Defaults to 5", numberFor("--k", requestSchema.shape.k), 5)
      .option("--sheet <file>", "write a contact sheet of the results (PNG)")
      .action((instruction: string | undefined, options: SearchOptions) => search(instruction, options)),
  );
  command.addCommand(
    named("show", "Print everything about one example, and optionally write it as a contact sheet.")
      .argument("<id>", "its id, or the first digits")
      .option("--sheet <file>", "write a contact sheet of it (PNG)")
      .action(show),
  );
  command.addCommand(
    named("remove", "Remove examples with their vectors and compiled blocks.")
      .argument("<id...>", "their ids, or the first digits")
      .action(remove),
  );
  command.addCommand(
    withQueue(
      withClip(
        withModel(named("compile", "Make missing vectors and compiled blocks of a model ahead of time.")),
      ),
      COMPILE_PRIORITY,
    )
      .option("--vectors-only", "make vectors, but compile nothing", false)
      .action((options: CompileOptions) => compile(options, signal)),
  );
  command.addCommand(
    named("export", "Write all examples to a folder of pairs, which examples add and training can read.")
      .requiredOption("--output <dir>", "the new folder")
      .action((options: ExportOptions) => exportAll(options, signal)),
  );
  return command;
}

interface LibraryOptions {
  readonly library: string;
  readonly json: boolean;
}

interface AddOptions extends ModelOptions, LibraryOptions, Pick<DistanceOptions, "clip"> {
  readonly example?: readonly string[];
  readonly instruction?: string;
  readonly source?: string;
  readonly licence?: string;
  readonly size?: number;
}

/** The most reasons to print for refused pairs. */
const REASONS = 5;

async function add(sets: readonly string[], options: AddOptions, signal: AbortSignal): Promise<void> {
  const { library: place, instruction, source, licence, size, json } = options;
  const named = examplesOf(options.example, instruction);
  if (sets.length + named.length === 0)
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
  const total = named.length + sources.reduce((sum, { length }) => sum + length, 0);
  const reasons: string[] = [];
  const own = await Promise.all(
    named.map(async ({ input, output, ...rest }): Promise<NewExample> => {
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
  /** The record of a data set that is being added, for the reasons of refused ones. */
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
  const isNew = !existsSync(place);
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
  for (const reason of [...reasons, ...broken].slice(0, REASONS)) say(`refused: ${oneLine(reason)}`);
  // A library that was made for these pairs alone is not left behind empty.
  if (result.examples === 0 && isNew) await rm(place, { recursive: true, force: true });
  if (result.added + result.known === 0)
    throw new XPromptError(
      `examples add: expected a pair that can be used, got none of ${total} (see the reasons above)`,
    );
  if (json) await printJson({ library: place, ...result, refused });
  else say(summaryOf(place, { ...result, refused }, result.examples));
}

function summaryOf(place: string, { added, known, refused }: Added, count: number): string {
  const parts = [`added ${added}`, known > 0 && `${known} existing`, refused > 0 && `${refused} refused`];
  return `${parts.filter(Boolean).join(", ")}: ${place} has ${counted(count, "example")}`;
}

async function list(options: LibraryOptions & { limit: number; offset: number }): Promise<void> {
  await using library = await ExampleLibrary.open(options.library);
  const examples = options.limit === 0 ? [] : await library.list(options);
  const count = await library.count();
  if (options.json)
    await printJson({ library: options.library, count, ...(await library.kinds()), examples });
  else {
    for (const facts of examples) await print(lineOf(facts));
    say(`${examples.length} of ${count} examples`);
  }
}

const lineOf = ({ id, instruction, subtask, source }: Facts): string =>
  oneLine([id.slice(0, 12), instruction || "(no instruction)", subtask, source].filter(Boolean).join("  "));

interface SearchOptions extends ModelOptions, LibraryOptions, DistanceOptions {
  readonly input?: string;
  readonly k: number;
  readonly sheet?: string;
}

async function search(instruction = "", options: SearchOptions): Promise<void> {
  const { library: place, input, k, sheet } = options;
  const weights = weightsOf(options);
  if (instruction.trim() === "" && input === undefined)
    throw new UsageError("examples search: expected an instruction or --input, got neither");
  if (sheet !== undefined) await checkSheet(sheet, input);
  checkDevice(options.device);
  await using library = await ExampleLibrary.open(place);
  const found =
    weights.text + weights.image === 0
      ? await library.search({ instruction }, undefined, weights, k)
      : await withEmbedder(options, async (embedder) => {
          if ((await library.lacking(embedder)) > 0)
            say(`note: some examples have no vectors of ${embedder.space} (see xprompt examples compile)`);
          const image = input !== undefined && weights.image > 0 ? await embedder.image(input) : undefined;
          return library.search({ instruction, vectors: { image } }, embedder, weights, k);
        });
  if (sheet !== undefined) {
    const shown = await Promise.all(
      found.map(async (each) => ({ ...each, ...(await library.get(each.id)) })),
    );
    await savePng(sheet, await exampleSheet(shown, { instruction, input }));
  }
  if (options.json) await printJson({ library: place, instruction, input, weights, found, sheet });
  else {
    for (const each of found) await print(`${each.distance.toFixed(4)}  ${lineOf(each)}`);
    if (found.length === 0) say("found nothing");
    if (sheet !== undefined) say(`wrote ${sheet}`);
  }
}

async function checkSheet(sheet: string, input?: string): Promise<void> {
  checkExtension(sheet, [".png"], "--sheet");
  await checkOutput(sheet, input === undefined ? [] : [input], "--sheet");
}

async function show(id: string, options: LibraryOptions & { sheet?: string }): Promise<void> {
  if (options.sheet !== undefined) await checkSheet(options.sheet);
  await using library = await ExampleLibrary.open(options.library);
  const { input, output, ...facts } = await library.get(id);
  if (options.sheet !== undefined)
    await savePng(options.sheet, await exampleSheet([{ ...facts, input, output }]));
  const { models } = await library.kinds();
  const compiled = [];
  for (const model of models) if ((await library.prompts(model, [facts.id])).size > 0) compiled.push(model);
  const about = { ...facts, bytes: { input: input.length, output: output.length }, compiled };
  if (options.json) await printJson({ library: options.library, ...about, sheet: options.sheet });
  else for (const [name, value] of Object.entries(about)) await print(oneLine(`${name}: ${textOf(value)}`));
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

async function remove(ids: readonly string[], options: LibraryOptions): Promise<void> {
  await using library = await ExampleLibrary.open(options.library);
  const found = [];
  for (const id of ids) found.push((await library.get(id)).id);
  const removed = await library.remove(found);
  if (options.json) await printJson({ library: options.library, removed, ids: found });
  else say(`removed ${removed}: ${options.library} has ${counted(await library.count(), "example")}`);
}

interface CompileOptions extends ModelOptions, LibraryOptions, QueueOptions, Pick<DistanceOptions, "clip"> {
  readonly vectorsOnly: boolean;
}

/** Examples per batch that is compiled and stored. */
const COMPILED_AT_ONCE = 16;
/** The same, with workers: so many jobs are handed out at once. */
const HANDED_OUT = 128;
/** Requests of a server come first. */
const COMPILE_PRIORITY = 10;

async function compile(options: CompileOptions, signal: AbortSignal): Promise<void> {
  const { library: place, vectorsOnly } = options;
  checkDevice(options.device);
  await using library = await ExampleLibrary.open(place);
  const vectors = await withEmbedder(options, async (embedder) => {
    const progress = new Progress({
      label: "vectors",
      total: await library.lacking(embedder),
      unit: "examples",
    });
    return library
      .embed(embedder, { signal, onProgress: ({ added }) => progress.update(added) })
      .finally(() => progress.stop());
  });
  const blocks = vectorsOnly ? 0 : await compileAll(library, options, signal);
  if (options.json) await printJson({ library: place, vectors, blocks, ...(await library.kinds()) });
  else say(`made vectors of ${counted(vectors, "example")} and compiled ${blocks}`);
}

async function compileAll(
  library: ExampleLibrary,
  options: CompileOptions,
  signal: AbortSignal,
): Promise<number> {
  return workWith(async (resources) => {
    const model = resources.own(await loadModel(options));
    const { redis } = options;
    const jobs = redis === undefined ? undefined : resources.own(await openQueue(options, { waits: true }));
    const there = await library.compiled(model.fingerprint);
    const missing = (await library.ids()).filter((id) => !there.has(id));
    const progress = new Progress({ label: "compiling", total: missing.length, unit: "examples" });
    resources.defer(async () => progress.stop());
    const atOnce = jobs ? HANDED_OUT : COMPILED_AT_ONCE;
    for (let from = 0; from < missing.length; from += atOnce) {
      signal.throwIfAborted();
      const part = missing.slice(from, from + atOnce);
      if (jobs) await compileBy(jobs, library, model, part, signal);
      else await compileExamples(library, model, part);
      progress.update(from + part.length);
    }
    return missing.length;
  });
}

/** Has workers compile examples, all at once. */
async function compileBy(
  jobs: JobQueue,
  library: ExampleLibrary,
  model: XPrompt,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const remote = remoteModel(model, (kind, data, given) => jobs.run(kind, model.fingerprint, data, given));
  const compress = async (id: string, signal: AbortSignal) => {
    const { input, output, instruction } = await library.get(id);
    return [id, await remote.compress([{ input, output, instruction }], { signal })] as const;
  };
  await library.keepPrompts(model.fingerprint, new Map(await allOrAbort(ids, compress, signal)));
}

interface ExportOptions extends LibraryOptions {
  readonly output: string;
}

async function exportAll(
  { library: place, output, json }: ExportOptions,
  signal: AbortSignal,
): Promise<void> {
  await using library = await ExampleLibrary.open(place);
  const progress = new Progress({ label: "exporting", total: await library.count(), unit: "examples" });
  const exported = await exportExamples(library, output, {
    signal,
    onProgress: (count) => progress.update(count),
  }).finally(() => progress.stop());
  if (json) await printJson({ library: place, output, exported });
  else say(`wrote ${counted(exported, "pair")} to ${output}`);
}
