/** @file The contexts of a run: the settings of those that it trains on, and of the held-out parts it is measured on. */
import { UsageError, XPromptError } from "../../errors.ts";
import { isLibrary, prepareNeighbours } from "../../retrieval/index.ts";
import {
  checkName,
  familiesOf,
  isMadeOfOthers,
  knownFamilies,
  selectFamilies,
  selectKnown,
  type Worlds,
  worldNames,
} from "../../tasks/index.ts";
import type { ContextSettings, WindowSettings } from "./contexts.ts";
import { included, type Mix } from "./mix.ts";
import type { TransformerRecipe } from "./recipe.ts";
import type { Sequences } from "./start.ts";

/** The settings of the contexts of a part: "train", or a name that stands for a random stream of its own. */
export const contextSettings = (
  recipe: TransformerRecipe,
  mix: Mix,
  { folder, tokenizers, xprompt }: Sequences,
  part: string,
): ContextSettings => {
  const { seed, contexts, todos } = recipe;
  const windows = part === "train" ? windowsOf(recipe) : heldOutWindows(recipe);
  return {
    ...{ seed, part, tokenizers: folder, xprompt, contexts, todos, windows, mix },
    resolution: tokenizers.image.config.resolution,
  };
};

/** The windows that training shows. */
export const windowsOf = ({
  window,
  windowSteps,
  windowContexts,
  contexts,
}: TransformerRecipe): WindowSettings | undefined =>
  window === undefined
    ? undefined
    : { side: window, steps: windowSteps, contexts: windowContexts ?? contexts };

/** Held-out contexts show windows only if training does until its end. */
export const heldOutWindows = (recipe: TransformerRecipe): WindowSettings | undefined =>
  recipe.windowSteps === undefined ? windowsOf(recipe) : undefined;

/** Held-out contexts by part: of the families trained on, of those that training never shows, of pairs. */
export function heldOutParts(
  recipe: TransformerRecipe,
  mix: Mix,
  sequences: Sequences,
): Record<string, ContextSettings> {
  const settings = (part: string) => contextSettings(recipe, mix, sequences, part);
  const scenes = { scenes: 1, photos: 0, icons: 0 };
  const plain = {
    ...mix,
    worlds: scenes,
    pairsShare: 0,
    exampleCounts: [1],
    describe: 0,
    textToImage: 0,
    withoutExample: 0,
    exampleInstruction: 0,
    todoInstruction: 0,
    pairsReversed: 0,
    weights: {},
  };
  const unseen = { ...plain, families: recipe.mix.heldOut, heldOut: [] };
  const ofWorld = (name: "photos" | "icons") =>
    recipe.mix.worlds[name] > 0 && {
      [name]: { ...settings("held out"), mix: { ...plain, worlds: { ...scenes, scenes: 0, [name]: 1 } } },
    };
  return {
    ...(selectFamilies(selectionOf(recipe)).length > 0 && { seen: { ...settings("held out"), mix: plain } }),
    ...ofWorld("photos"),
    ...ofWorld("icons"),
    ...(hasScenes(unseen.families) && { unseen: { ...settings("unseen"), mix: unseen } }),
    ...(hasPairs(recipe) && { pairs: { ...settings("held out"), mix: { ...plain, pairsShare: 1 } } }),
  };
}

/** The mix with its libraries prepared: they have vectors before threads open them. */
export const preparedMix = async ({ mix }: TransformerRecipe): Promise<Mix> => ({
  ...mix,
  pairs: await Promise.all(mix.pairs.map(prepared)),
});

async function prepared(set: TransformerRecipe["mix"]["pairs"][number]): Promise<Mix["pairs"][number]> {
  if (typeof set === "string") return isLibrary(set) ? prepareNeighbours({ library: set }) : set;
  return "library" in set ? prepareNeighbours(set) : set;
}

/** Adds the families of held-out prototypes to the held-out families. */
export function withPrototypes(recipe: TransformerRecipe): TransformerRecipe {
  const { heldOut, heldOutPrototypes } = recipe.mix;
  const whole = knownFamilies.filter(({ prototype }) => heldOutPrototypes.includes(prototype));
  return {
    ...recipe,
    mix: { ...recipe.mix, heldOut: [...new Set([...heldOut, ...whole.map(({ name }) => name)])] },
  };
}

/** The families that a run may train on. */
const selectionOf = ({ mix }: TransformerRecipe) => ({ include: included(mix), exclude: mix.heldOut });

/** The names of those that it draws, in any world. Descriptions are of their changes, where pairs have no words for theirs. */
function drawnFamilies(recipe: TransformerRecipe): readonly string[] {
  const { pairs, pairsShare, worlds, weights, describe } = recipe.mix;
  if (pairs.length > 0 && pairsShare === 1 && describe === 0) return [];
  return selectKnown(selectionOf(recipe))
    .filter((family) => (weights[family.name] ?? 1) > 0 && family.worlds.some((world) => worlds[world] > 0))
    .map(({ name }) => name);
}

/**
 * The training facts in a model's config, from which suites learn which tasks it has seen.
 * @param before the families that the initial model was trained on
 */
export function trainingFacts(
  recipe: TransformerRecipe,
  before: readonly string[] = [],
): Record<string, readonly string[]> {
  const names = [...drawnFamilies(recipe), ...before];
  const seen = knownFamilies.filter(({ name }) => names.includes(name));
  const whole = recipe.mix.heldOutPrototypes.filter((name) =>
    seen.every(({ prototype }) => prototype !== name),
  );
  return {
    families: seen.map(({ name }) => name),
    held_out: recipe.mix.heldOut.filter((name) => !before.includes(name)),
    ...(whole.length > 0 && { held_out_prototypes: whole }),
  };
}

/** Whether one of the families works on scenes. */
const hasScenes = (names: readonly string[]): boolean =>
  selectFamilies().some(({ name }) => names.includes(name));

/** Whether there are held-out pairs. */
export const hasPairs = ({ mix }: TransformerRecipe): boolean => mix.pairs.length > 0 && mix.pairsHeldOut > 0;

/** @throws UsageError for missing pairs, a weight of an unknown family, windows of tokenized data, or settings of no windows */
export function checkMix({ mix, window, windowSteps, windowContexts, data }: TransformerRecipe): void {
  if (window === undefined && windowSteps !== undefined)
    throw new UsageError("transformer recipe: windowSteps: expected window as well, got none");
  if (windowSteps === undefined && windowContexts !== undefined)
    throw new UsageError(
      "transformer recipe: windowContexts: expected windowSteps as well, got none (contexts counts if all steps have windows)",
    );
  if (window !== undefined && data.tokenized !== undefined)
    throw new UsageError(
      "transformer recipe: window: expected none with data.tokenized, which has whole pictures (leave one of the two out)",
    );
  for (const name of Object.keys(mix.weights)) checkName(name);
  if (mix.pairsRequired && mix.pairs.length === 0)
    throw new UsageError(
      "transformer recipe: mix.pairs: expected folders or files of pairs to train on, got none (add --mix.pairs=DIR)",
    );
}

/** @throws XPromptError when no family of a world can be drawn, or the parts of a combined family are not chosen */
export function checkWorlds(recipe: TransformerRecipe, worlds: Worlds): void {
  const { mix } = recipe;
  const made = new Set<string>();
  for (const name of worldNames.filter((each) => mix.worlds[each] > 0)) {
    const selected = selectFamilies(selectionOf(recipe), familiesOf(worlds, name));
    for (const family of selected) made.add(family.name);
    if (selected.length === 0)
      throw new XPromptError(
        `transformer recipe: mix.heldOut: expected at least one family of ${name} that is not held out, got none`,
      );
    if (selected.every((family) => mix.weights[family.name] === 0))
      throw new UsageError(
        `transformer recipe: mix.weights: expected a weight above 0 for at least one family of ${name}, got none`,
      );
  }
  const lacking = mix.families.find((name) => isMadeOfOthers(name) && !made.has(name));
  if (lacking !== undefined)
    throw new UsageError(
      `transformer recipe: mix.families: expected changes that ${lacking} can be made of, got too few (add others, or leave it out)`,
    );
}
