/** @file `xprompt generate`: applies the change of the examples, or of the instruction, to a picture. */
import { Command, Option } from "commander";
import { UsageError, XPromptError } from "../errors.ts";
import type { ByteImage, Image } from "../image/index.ts";
import { Progress } from "../progress.ts";
import type { Retriever } from "../retrieval/index.ts";
import { type Resources, workWith } from "../runtime/resources.ts";
import type { Generated, GenerateOptions, XPrompt } from "../xprompt/model.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import {
  type Guidance,
  type RequestSettings,
  recommendableSettings,
  requestSchema,
} from "../xprompt/request.ts";
import { compressed } from "./compressing.ts";
import { type Job, jobsOf, STANDARD } from "./inputs.ts";
import { type DistanceOptions, weightsOf, withClip, withLibrary, withWeights } from "./library-options.ts";
import { loadModel } from "./load.ts";
import { checkDevice, examplesOf, givenOf, type ModelOptions, withExamples, withModel } from "./options.ts";
import { counted, oneLine, printJson, say, sayUnread } from "./output.ts";
import { nameOf, writePictures } from "./pictures.ts";
import { withSettings } from "./setting-options.ts";

interface Options extends ModelOptions, DistanceOptions {
  readonly library?: string;
  readonly k: number;
  readonly minSimilarity?: number;
  readonly example?: readonly string[];
  readonly prompt?: readonly string[];
  readonly input: readonly string[];
  readonly instruction?: string;
  readonly output: string;
  readonly fullSize?: true;
  readonly modelSize?: true;
  readonly seed?: number;
  readonly samples: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly guidance?: Guidance;
  readonly expected?: boolean;
  readonly onePass?: boolean;
  readonly exampleColours: boolean;
  readonly draft?: boolean;
  readonly json: boolean;
}

type Result = Generated<Image | ByteImage>;

/** Whether results have the size of their inputs. */
const isFullSize = ({ input, modelSize }: Options): boolean => input.length > 0 && !modelSize;

export function generateCommand(signal: AbortSignal): Command {
  const command = new Command("generate").description(
    "Generate a picture: give before → after pairs and your picture, and get the same change applied to it. Pictures are " +
      "PNG, JPEG or WebP, from 8 pixels a side to 64 megapixels. They are rotated according to their EXIF data, and transparent parts become " +
      "white. The result has the size and shape of the input.",
  );
  withExamples(command)
    .option("--prompt <file...>", "compressed examples (.xprompt), in addition to --example")
    .option(
      "--input <picture>",
      "the picture to change, a folder of pictures, or - for standard input; repeatable. Without it, the picture follows from words and examples only",
      (path: string, former: readonly string[]) => [...former, path],
      [],
    )
    .option("--instruction <text>", "what to do, in words")
    .requiredOption(
      "--output <path>",
      "the picture to write: .png, .jpg, .jpeg or .webp, or - for standard output; with --samples, out-1.png, out-2.png, …; for several inputs a folder, with a .png of each name",
    )
    .addOption(
      new Option(
        "--full-size",
        "give the result the size, shape and detail of the input. The default with --input",
      ).conflicts("modelSize"),
    )
    .option("--model-size", "write the model's own drawing of the central square instead");
  withSettings(withModel(command), requestSchema, recommendableSettings);
  return withWeights(withClip(withLibrary(command)))
    .option("--json", "print one JSON object on standard output", false)
    .action((options: Options, command: Command) => {
      checkLibraryOptions(options, command);
      return generate(options, signal);
    });
}

/** @throws UsageError for options of the library search without --library */
function checkLibraryOptions({ library }: Options, command: Command): void {
  if (library !== undefined) return;
  const names = ["k", "minSimilarity", "clip", "textWeight", "imageWeight", "wordsWeight"];
  const given = givenOf(command, names);
  if (given) throw new UsageError(`generate: expected ${given.long} with --library, got it alone`);
}

async function generate(options: Options, signal: AbortSignal): Promise<void> {
  const examples = examplesOf(options.example);
  const {
    example = [],
    prompt: prompts = [],
    input: inputs,
    instruction = "",
    output,
    samples,
    json,
  } = options;
  const fromLibrary = options.library !== undefined && inputs.length > 0;
  if (examples.length + prompts.length === 0 && instruction.trim() === "" && !fromLibrary)
    throw new UsageError(
      options.library === undefined
        ? "generate: expected --example, --prompt or --instruction to say what to do, got none"
        : "generate: expected --input or --instruction with --library, to find an example for, got neither",
    );
  if (options.fullSize && inputs.length === 0)
    throw new UsageError("--full-size: expected an --input to take the size from, got none (leave it out)");
  if (!options.exampleColours && !isFullSize(options))
    throw new UsageError(
      "--no-example-colours: expected it at full size, got it with --model-size or without --input",
    );
  checkDevice(options.device);
  const { jobs, isFolder } = await jobsOf({
    inputs,
    output,
    samples,
    json,
    others: [...example, ...prompts],
    signal,
  });
  const loaded = await Promise.all(prompts.map((path) => VisualPrompt.load(path)));
  await workWith(async (resources) => {
    const library = await libraryOf(options, resources);
    const model = resources.own(await loadModel(options));
    const shown = examples.length > 0 ? [await compressed(model, examples, signal)] : [];
    const shared: Shared = { prompt: [...loaded, ...shown], library };
    const reports: Report[] = [];
    const failed: { readonly input?: string; readonly error: string }[] = [];
    for (const job of jobs) {
      signal.throwIfAborted();
      try {
        reports.push(await runJob(job, model, shared, options, signal));
      } catch (error) {
        // Of several pictures a broken one is left out.
        if (!isFolder || signal.aborted || !(error instanceof XPromptError)) throw error;
        failed.push({ input: job.input?.path, error: error.message });
        say(`failed: ${oneLine(error.message)}`);
      }
    }
    const outputs = reports.flatMap((report) => report.outputs);
    if (json) await printJson(isFolder ? { output, outputs, results: reports, failed } : reports[0]!);
    const others = outputs.length > 0 ? `; the results of the others are in ${output}` : "";
    if (failed.length > 0)
      throw new XPromptError(
        `generate: expected ${counted(jobs.length, "picture")} that can be changed, got ${failed.length} that cannot (see above${others})`,
      );
  });
}

/** The library of --library, as the model searches it. Loaded on demand, because most calls need none. */
async function libraryOf(options: Options, resources: Resources): Promise<Retriever | undefined> {
  if (options.library === undefined) return undefined;
  const { ClipEmbedder, ExampleLibrary, Retriever } = await import("../retrieval/index.ts");
  const library = resources.own(await ExampleLibrary.open(options.library));
  const embedder =
    options.clip === undefined ? undefined : resources.own(await ClipEmbedder.load(options.clip, options));
  return new Retriever(library, { embedder, weights: weightsOf(options) });
}

type Shared = Pick<GenerateOptions, "prompt" | "library">;
type Report = { readonly outputs: readonly string[] } & Readonly<Record<string, unknown>>;

/** Generates and writes the results of one picture. */
async function runJob(
  { input, outputs }: Job,
  model: XPrompt,
  shared: Shared,
  options: Options,
  signal: AbortSignal,
): Promise<Report> {
  const settings = settingsOf(options);
  const fullSize = isFullSize(options);
  // Starts with the first row, so that an earlier error is one line without a progress bar.
  let progress: Progress | undefined;
  const result = await model
    .generate({
      ...settings,
      ...shared,
      input: input?.picture,
      fullSize,
      signal,
      onProgress: ({ row, rows }) => {
        if (!progress && row === rows) return; // all rows at once need no bar
        progress ??= new Progress({ label: "generating", total: rows, unit: "rows" });
        progress.update(row);
      },
    })
    .finally(() => progress?.stop());
  const pictures = result.images.map((image, i) => ({
    path: outputs[i]!,
    image,
    about: requestOf(options, input?.path, result, i),
  }));
  await writePictures(pictures, signal);
  sayRetrieved(result);
  sayEqual(result);
  if (result.changeFrom === "example colours")
    say("a map of colours explains the examples, and was applied (--no-example-colours applies the drawing)");
  sayUnread(result.tokens.unread);
  if (!options.json)
    for (const path of outputs)
      say(
        `wrote ${path === STANDARD ? "to standard output" : path} (seed ${result.seed}, ${Math.round(result.timings.total)} ms)`,
      );
  return {
    output: outputs[0],
    outputs,
    ...(options.input.length > 0 && { input: input?.path }),
    ...reportOf(result),
    settings: { ...settings, ...result.settings },
    device: options.device,
    threads: options.threads,
    fullSize,
  };
}

/** Reports which examples of the library were used. */
function sayRetrieved({ retrieved, bestSimilarity }: Result): void {
  for (const { id, instruction, distance, block } of retrieved ?? [])
    say(
      oneLine(
        `example ${id.slice(0, 12)} of the library (distance ${distance.toFixed(4)}${block === "made" ? ", compiled now" : ""}): ${instruction}`,
      ),
    );
  if (retrieved?.length !== 0) return;
  const best = bestSimilarity === undefined ? "it is empty" : `the best has ${bestSimilarity.toFixed(4)}`;
  say(`no example of the library is similar enough (${best}): generating without`);
}

/** Says that several samples are one picture. */
function sayEqual({ images: [first, ...others], settings }: Result): void {
  const isFirst = ({ data }: Image | ByteImage) => data.every((value, i) => value === first.data[i]);
  if (others.length > 0 && others.every(isFirst))
    say(
      `note: all samples are the same picture${settings.expected ? ", the mean of what is likely (--no-expected samples different ones)" : ""}`,
    );
}

type Settings = Pick<GenerateOptions, "instruction" | keyof RequestSettings>;

const OF_LIBRARY: readonly string[] = ["k", "minSimilarity"] satisfies (keyof RequestSettings)[];

/** The settings that the options say; undefined where the model decides. */
function settingsOf(options: Options): Settings {
  const { instruction, library, exampleColours } = options;
  const names = (Object.keys(requestSchema.shape) as (keyof RequestSettings)[]).filter(
    (name) => library !== undefined || !OF_LIBRARY.includes(name),
  );
  const settings: Settings = Object.fromEntries(names.map((name) => [name, options[name]]));
  return { instruction, ...settings, exampleColours: exampleColours ? undefined : false };
}

/** All of a result but its pictures, and the settings, which are reported with those of the request. */
const reportOf = ({ images: _, codes: __, settings: ___, ...report }: Result) => report;

/** Everything needed to reproduce the picture of a sample. Contains the names of files without their folders. */
function requestOf(options: Options, input: string | undefined, result: Result, sample: number): object {
  const { seed, model: fingerprint, retrieved } = result;
  const { example = [], prompt = [], model, adapter, device, threads, library, clip } = options;
  return {
    ...settingsOf(options),
    ...result.settings,
    seed,
    sample,
    model: nameOf(model),
    adapter: adapter && nameOf(adapter),
    fingerprint,
    device,
    threads,
    example: example.map(nameOf),
    prompt: prompt.map(nameOf),
    ...(library !== undefined && {
      ...{ library: nameOf(library), clip: clip && nameOf(clip), weights: weightsOf(options) },
      retrieved: retrieved?.map(({ id }) => id),
    }),
    input: input && nameOf(input),
    ...(input !== undefined && { fullSize: isFullSize(options), changeFrom: result.changeFrom }),
  };
}
