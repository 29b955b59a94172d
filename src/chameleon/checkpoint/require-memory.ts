/** @file Whether a checkpoint fits in memory, before it is loaded. */
import { requireMemory } from "../../runtime/memory.ts";
import { openWeights } from "../../runtime/weights.ts";
import { chameleonMemory, type Sizes } from "../model/memory.ts";

/**
 * Makes sure that the weights of a folder, and what running them takes, fit in memory; reads their headers alone.
 * Weights that cannot be opened pass this check: loading them reports what is wrong.
 * @throws XPromptError with what is needed, what there is, and what to do
 */
export async function requireMemoryFor(folder: string, sizes: Sizes): Promise<void> {
  const weights = await openWeights(folder).catch(() => undefined);
  if (!weights) return;
  await weights.close();
  await requireMemory(`loading model ${folder}`, chameleonMemory(sizes, weights.tensors));
}
