/** @file `xprompt examples compile`: makes vectors and compiled blocks ahead of time. */
import type { Command } from "commander";
import { Progress } from "../../progress.ts";
import { type JobQueue, remoteModel } from "../../queue/index.ts";
import { compileExamples, ExampleLibrary } from "../../retrieval/index.ts";
import { allOrAbort } from "../../runtime/abort.ts";
import { workWith } from "../../runtime/resources.ts";
import type { XPrompt } from "../../xprompt/model.ts";
import { type DistanceOptions, withClip, withEmbedder } from "../library-options.ts";
import { loadModel } from "../load.ts";
import { checkDevice, type ModelOptions, withModel } from "../options.ts";
import { counted, printJson, say } from "../output.ts";
import { openQueue, type QueueOptions, withQueue } from "../queue-options.ts";
import { type LibraryOptions, named } from "./shared.ts";

interface CompileOptions extends ModelOptions, LibraryOptions, QueueOptions, Pick<DistanceOptions, "clip"> {
  readonly vectorsOnly: boolean;
}

/** Examples per batch that is compiled and stored. */
const COMPILED_AT_ONCE = 16;
/** Jobs that workers have at the same time. */
const HANDED_OUT = 128;
/** After requests of a server, which have 1. */
const COMPILE_PRIORITY = 10;

export const compileCommand = (signal: AbortSignal): Command =>
  withQueue(
    withClip(
      withModel(named("compile", "Make missing vectors and compiled blocks of a model ahead of time.")),
    ),
    COMPILE_PRIORITY,
  )
    .option("--vectors-only", "make vectors, but compile nothing", false)
    .action((options: CompileOptions) => compile(options, signal));

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
      else await compileExamples(library, model, part, { signal });
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
