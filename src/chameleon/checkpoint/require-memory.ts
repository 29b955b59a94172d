/** @file Whether a checkpoint fits in memory, before it is loaded. */
import { requireMemory } from "../../runtime/memory.ts";
import { openWeights } from "../../runtime/weights.ts";
import { chameleonMemory, type Sizes } from "../model/memory.ts";

/**
 * Checks that the weights of a folder and the memory to run them fit in memory. Reads headers only. Weights that cannot
 * be opened pass this check: loading them reports the problem.
 * @throws XPromptError with the needed and the free memory, and what to do
 */
export async function requireMemoryFor(folder: string, sizes: Sizes): Promise<void> {
  const weights = await openWeights(folder).catch(() => undefined);
  if (!weights) return;
  await weights.close();
  const advice = sizes.decoder.quantization
    ? "close other programs, or use a smaller model"
    : "convert it: xprompt convert FOLDER --quantize int4 --output SMALLER; or close other programs";
  await requireMemory(`loading model ${folder}`, chameleonMemory(sizes, weights.tensors), advice);
}
