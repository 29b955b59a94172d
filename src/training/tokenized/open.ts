/** @file A tokenized data set that a run is to read: checked against its recipe and tokenizers. */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import { XPromptError } from "../../errors.ts";
import { describeDifference } from "../recipe.ts";
import type { HeldOutContexts } from "../transformer/held-out.ts";
import type { TransformerRecipe } from "../transformer/recipe.ts";
import type { Sequences } from "../transformer/start.ts";
import { heldOutOf } from "./held-out-rows.ts";
import { digestOf, readManifest, settingsOf } from "./manifest.ts";
import { readFrom, readShard } from "./read.ts";

export interface TokenizedSet {
  readonly place: string;
  /** Identifies settings and contents. */
  readonly digest: string;
  /** The contexts that the run is measured on. */
  heldOut(tokenizers: Tokenizers): Promise<Record<string, HeldOutContexts>>;
}

/**
 * The tokenized data of a recipe; undefined if it names none.
 * @param digest of the tokenizers
 * @throws XPromptError when it is incomplete, or of other tokenizers or settings
 */
export async function openTokenized(
  recipe: TransformerRecipe,
  sequences: Sequences,
  digest: string,
): Promise<TokenizedSet | undefined> {
  const place = recipe.data.tokenized;
  if (place === undefined) return undefined;
  const manifest = await readFrom(place, readManifest);
  const { plan } = manifest;
  const doing = `training on tokenized data ${place}`;
  if (digest !== plan.tokenizers)
    throw new XPromptError(
      `${doing}: expected the tokenizers that it was made with (${plan.tokenizers.slice(0, 16)}), got others in ${sequences.folder} (${digest.slice(0, 16)}) (name the same tokenizers, or tokenize the data again)`,
    );
  const differences = describeDifference(plan.settings, settingsOf(recipe, sequences));
  if (differences.length > 0)
    throw new XPromptError(
      `${doing}: expected the settings that it was made with, got others: ${differences.join("; ")} (use the same settings, or tokenize the data again)`,
    );
  return {
    place,
    digest: digestOf(manifest),
    heldOut: async (tokenizers) =>
      heldOutOf(await readFrom(place, (storage) => readShard(storage, manifest.heldOut)), tokenizers),
  };
}
