/** @file The weights of a run as they are measured, shown and written: averaged, mixed with the initial ones, merged. */
import { z } from "zod";
import { mergeAdapter, writeAdapterFolder } from "../../chameleon/checkpoint/adapter-folder.ts";
import { type Weight, writeModelFolder } from "../../chameleon/checkpoint/folder.ts";
import { mergeShared } from "../../chameleon/model/shared-rows.ts";
import { readJson } from "../../runtime/files.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import { modelConfigToJson } from "../../xprompt/config.ts";
import { XPrompt } from "../../xprompt/model.ts";
import { WeightAverage } from "../optimizer/average.ts";
import { mixedWithInitial } from "../optimizer/mixed.ts";
import { feedsOfWeights, type TrainingState } from "../run/state.ts";
import { trainingFacts } from "./parts.ts";
import type { TransformerRecipe } from "./recipe.ts";
import type { Start } from "./start.ts";

type Weights = ReadonlyMap<string, Weight>;

/** Steps between averaged states. */
const AVERAGE_EVERY = 5;

export class Product {
  readonly average: WeightAverage | undefined;
  /** The initial weights, if they are mixed in at the end. Without that they are not kept. */
  private readonly initial: Weights | undefined;
  private readonly base: Omit<NonNullable<Start["base"]>, "weights"> | undefined;
  private readonly start: Pick<Start, "folder" | "tokenizers" | "xprompt" | "config">;

  /** @param imageWeights those of the image tokenizer */
  constructor(
    private readonly recipe: TransformerRecipe,
    private readonly state: TrainingState,
    { base, folder, tokenizers, xprompt, config }: Start,
    private readonly imageWeights: Weights,
  ) {
    const { averageFrom, initialShare, steps } = recipe;
    this.start = { folder, tokenizers, xprompt, config };
    this.initial = initialShare > 0 ? base!.weights : undefined;
    this.base = base && { checksum: base.checksum, families: base.families };
    if (averageFrom < 1)
      this.average = new WeightAverage(state, Math.ceil(averageFrom * steps), AVERAGE_EVERY);
  }

  /** Checksum of the weights that are mixed in at the end. */
  get mixedIn(): string | undefined {
    return this.initial && this.base!.checksum;
  }

  /** What the graph of the loss takes. */
  feeds() {
    return feedsOfWeights([...(this.state.frozen?.weights ?? []), ...this.trained()]);
  }

  /** The model as it is now. */
  assemble(session: SessionOptions): Promise<XPrompt> {
    const parts = { ...this.parts(), text: this.start.tokenizers.text };
    const { preprocessing } = this.start.tokenizers;
    return XPrompt.assemble(
      { ...parts, preprocessing, weights: this.all(), checksum: "in training" },
      session,
    );
  }

  /** Writes the model folder; or that of the adapter, if it is not to be merged. */
  async write(path: string): Promise<void> {
    const { recipe, base } = this;
    const { folder, tokenizers } = this.start;
    if (this.state.frozen && !recipe.merge)
      return writeAdapterFolder(path, this.adapter(), { name: recipe.init!, checksum: base!.checksum });
    return writeModelFolder(path, {
      config: { ...modelConfigToJson(this.parts().config), training: trainingFacts(recipe, base?.families) },
      weights: this.all(),
      tokenizer: await readJson(`${folder}/tokenizer.json`, z.unknown(), "tokenizer"),
      base: tokenizers.preprocessing && folder,
    });
  }

  private parts() {
    const { config, tokenizers, xprompt } = this.start;
    const { adapter: _, codeFeatures: __, ...decoder } = config;
    return { config: { decoder, image: tokenizers.image.config, xprompt } };
  }

  private trained(): Weights {
    const { recipe, state, initial } = this;
    const weights = this.average?.weights() ?? state.weights();
    return initial && state.step >= recipe.steps
      ? mixedWithInitial(weights, initial, recipe.initialShare)
      : weights;
  }

  private adapter() {
    return { config: this.start.config.adapter ?? {}, weights: this.trained() };
  }

  private all(): Map<string, Weight> {
    return new Map([...this.merged(), ...this.imageWeights]);
  }

  private merged(): Weights {
    const { frozen } = this.state;
    const { codeFeatures } = this.start.config;
    if (frozen) return mergeAdapter(frozen.weights, this.adapter());
    return codeFeatures ? mergeShared(this.trained(), codeFeatures) : this.trained();
  }
}
