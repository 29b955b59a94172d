/** @file What a run trains on and is measured on: contexts that are sampled, or that are read in tokens. */
import { moduleBeside } from "../../runtime/threads.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import type { Collective } from "../distributed/collective.ts";
import { SampleStream } from "../run/workers.ts";
import { openTokenized, type TokenizedSet } from "../tokenized/open.ts";
import { type ContextSource, closeSets, digestsOf, openSets, openSources } from "./contexts.ts";
import type { ContextOptions, PackedBatch } from "./data.ts";
import { type HeldOutContexts, heldOutContexts } from "./held-out.ts";
import type { Mix } from "./mix.ts";
import { checkWorlds, contextSettings, hasPairs, heldOutParts, preparedMix } from "./parts.ts";
import type { TransformerRecipe } from "./recipe.ts";
import type { Sequences } from "./start.ts";

/** How the tokens of contexts are laid out, beside what the recipe says. */
export type Layout = Pick<ContextOptions, "xprompt" | "weights" | "wholePictures">;

export class RunData {
  /** Why records of data sets were left out, by record: several threads may find the same one. */
  readonly skipped = new Map<string, string>();
  /** The user's pairs on contact sheets. */
  private shown: readonly ContextSource[] | undefined;

  private constructor(
    private readonly recipe: TransformerRecipe,
    private readonly sequences: Sequences,
    private readonly layout: Layout,
    readonly mix: Mix,
    private readonly tokens: TokenizedSet | undefined,
  ) {}

  /** @param digest of the tokenizers, which must be that of data in tokens */
  static async open(
    recipe: TransformerRecipe,
    sequences: Sequences,
    layout: Layout,
    digest: string,
  ): Promise<RunData> {
    const tokens = await openTokenized(recipe, sequences, digest);
    const mix = tokens ? { ...recipe.mix, pairs: [] } : await preparedMix(recipe);
    return new RunData(recipe, sequences, layout, mix, tokens);
  }

  /**
   * Reads all sources once, so that a run on data that cannot be read fails before it starts.
   * @returns the digests of the data, and whether some of it is the user's own
   */
  async check(): Promise<{ readonly digests: readonly string[]; readonly isOwn: boolean }> {
    if (this.tokens) return { digests: [this.tokens.digest], isOwn: true };
    const sources = await openSources(this.options("train"), this.skip);
    await closeSets(sources.sets); // batches and held-out parts open their own
    checkWorlds(this.recipe, sources.worlds);
    const isOwn = hasPairs(this.recipe) || sources.worlds.gathered !== undefined;
    return { digests: digestsOf(sources), isOwn };
  }

  options(part: string): ContextOptions {
    return {
      ...contextSettings(this.recipe, this.mix, this.sequences, part),
      ...this.layout,
      ...(this.tokens && { tokenized: { place: this.tokens.place, digest: this.tokens.digest } }),
    };
  }

  /** The batches of one of the processes, from a step on. */
  batches(from: number, { rank, size }: Collective): SampleStream<PackedBatch> {
    return new SampleStream({
      module: moduleBeside(import.meta.url, "data"),
      options: { ...this.options("train"), share: { rank, size } },
      workers: this.recipe.workers,
      from,
    });
  }

  heldOut(): Promise<Record<string, HeldOutContexts>> {
    const { recipe, sequences, mix } = this;
    const { tokenizers } = sequences;
    return (
      this.tokens?.heldOut(tokenizers) ??
      heldOutContexts(heldOutParts(recipe, mix, sequences), recipe.heldOutBatches, tokenizers, this.skip)
    );
  }

  /** The user's pairs that contact sheets show: held-out ones, if there are any. */
  async pairsOfSheets(): Promise<readonly ContextSource[]> {
    this.shown ??= this.tokens
      ? []
      : await openSets(this.options(hasPairs(this.recipe) ? "held out" : "train"));
    return this.shown;
  }

  /** Notes a record that was left out. */
  readonly skip = ({ set, row, why }: Skipped): void => {
    this.skipped.set(`${set}#${row}`, `${set}: ${why}`);
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await closeSets(this.shown ?? []);
  }
}
