/** @file RAIE: retrieves the examples of a library that are nearest to a request, compiled for the model. */
import { UsageError, XPromptError } from "../errors.ts";
import { type ColourSums, colourSums } from "../image/example-colours.ts";
import { loadPicture } from "../image/picture.ts";
import { checkKeys } from "../runtime/option-names.ts";
import type { AskingModel, ExampleRequest, ExampleSource, Retrieved } from "../xprompt/example-source.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { withoutColours } from "./blocks.ts";
import type { Embedder } from "./embedder.ts";
import type { ExampleLibrary } from "./library.ts";
import { type ModelEmbedder, modelEmbedder } from "./model-embedder.ts";
import { checkWeights, defaultWeights, type Weights } from "./weights.ts";

/** The most examples that `retrieve` embeds on demand. */
const MAX_ON_DEMAND = 500;

export interface RetrieverOptions {
  /** Defaults to the embedder of the model that generates. */
  readonly embedder?: Embedder;
  /** Defaults to `defaultWeights`. */
  readonly weights?: Weights;
}

/** Searches a library with an embedder and weights. */
export class Retriever implements ExampleSource {
  private own: { readonly model: AskingModel; readonly embedder: ModelEmbedder } | undefined;
  /** By space: the library's version when none of its examples needed vectors any more. */
  private readonly ready = new Map<string, number>();

  constructor(
    private readonly library: ExampleLibrary,
    private readonly options: RetrieverOptions = {},
  ) {
    checkKeys("retrieving examples", options, { embedder: true, weights: true });
    if (options.weights) checkWeights("retrieving examples", options.weights);
  }

  async retrieve(model: AskingModel, request: ExampleRequest): Promise<Retrieved> {
    const { instruction, input, k, minSimilarity = -1, signal } = request;
    const { weights = defaultWeights } = this.options;
    if (instruction.trim() === "" && !input)
      throw new UsageError(
        "searching for an example: expected an instruction or an input picture, got neither",
      );
    if (instruction.trim() === "" && weights.image === 0)
      throw new UsageError(
        "searching for an example: expected an instruction, or weights.image above 0 to search by the input picture, got neither",
      );
    const own = this.embedderOf(model);
    const embedder = this.options.embedder ?? own;
    if (weights.text > 0 || weights.image > 0) await this.prepare(embedder, signal);
    const image =
      input && weights.image > 0
        ? await (embedder === own ? own.ofCodes(input.codes) : embedder.image(input.picture))
        : undefined;
    const found = await this.library.search({ instruction, vectors: { image } }, embedder, weights, k);
    const near = found.filter(({ similarity }) => similarity >= minSimilarity);
    if (near.length === 0) return { examples: [], best: found[0]?.similarity };
    const ids = near.map(({ id }) => id);
    const { prompt, made } = await compileExamples(this.library, model, ids, { mustKeep: false, signal });
    const examples = near.map(({ id, instruction: text, source, similarity, distance, parts }) => ({
      id,
      instruction: text,
      source,
      similarity,
      distance,
      parts,
      block: made.has(id) ? ("made" as const) : ("kept" as const),
    }));
    return { prompt, examples, colours: () => this.coloursOf(ids, model.size) };
  }

  /** What pairs tell about colours, in pictures of this size. A pair that was deleted since tells nothing. */
  private async coloursOf(ids: readonly string[], size: number): Promise<ColourSums[]> {
    const sums: ColourSums[] = [];
    for (const id of ids) {
      const pair = await this.library.find(id);
      if (pair)
        sums.push(
          colourSums(await loadPicture(pair.input, { size }), await loadPicture(pair.output, { size })),
        );
    }
    return sums;
  }

  private embedderOf(model: AskingModel): ModelEmbedder {
    if (this.own?.model !== model) this.own = { model, embedder: modelEmbedder(model) };
    return this.own.embedder;
  }

  /** Embeds the examples that lack vectors of this space. If they cannot be kept, the other examples are searched. */
  private async prepare(embedder: Embedder, signal?: AbortSignal): Promise<void> {
    const version = await this.library.version();
    if (this.ready.get(embedder.space) === version) return;
    const count = await this.library.count();
    const lacking = await this.library.lacking(embedder);
    if (lacking > MAX_ON_DEMAND && lacking === count)
      throw new XPromptError(
        `searching for an example: expected vectors of ${embedder.space}, got ${lacking} examples without (make them with xprompt examples compile --library ${this.library.place})`,
      );
    if (lacking > 0 && lacking <= MAX_ON_DEMAND) {
      try {
        await this.library.embed(embedder, { signal, wait: false });
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof XPromptError) || (await this.library.lacking(embedder)) === count) throw error;
        // The next request tries again.
        if (error.code === "ERR_LOCKED") return;
      }
    }
    this.ready.set(embedder.space, version);
  }
}

/**
 * Compiled examples: those in the library, and new ones, which are stored there.
 * @param options `mustKeep: false`: a library that cannot be written, such as a read-only one, is no error
 * @throws XPromptError when an example is missing, or the new ones cannot be stored
 */
export async function compileExamples(
  library: ExampleLibrary,
  model: AskingModel,
  ids: readonly string[],
  { mustKeep = true, signal }: { readonly mustKeep?: boolean; readonly signal?: AbortSignal } = {},
): Promise<{ readonly prompt: VisualPrompt; readonly made: ReadonlySet<string> }> {
  const kept = await library.prompts(model.fingerprint, ids);
  const made = new Map<string, VisualPrompt>();
  for (const id of ids.filter((each) => !kept.has(each))) {
    signal?.throwIfAborted();
    const { input, output, instruction } = await library.get(id);
    // The same seed gives the same picture before and after the example is kept.
    made.set(id, withoutColours(await model.compress([{ input, output, instruction }], { signal })));
  }
  if (made.size > 0)
    await library.keepPrompts(model.fingerprint, made, { wait: mustKeep }).catch((error) => {
      if (mustKeep || !(error instanceof XPromptError)) throw error;
    });
  const prompt = VisualPrompt.join(ids.map((id) => kept.get(id) ?? made.get(id)!));
  return { prompt, made: new Set(made.keys()) };
}
