/** @file The memory a model will need, estimated before loading, and the available memory. */
import { XPromptError } from "../errors.ts";
import { formatBytes } from "../format.ts";
import { availableMemory } from "./available-memory.ts";

/** In bytes. */
export interface MemoryNeed {
  /** The weights in memory: quantized ones as stored, others in float32. */
  readonly weights: number;
  /** Keys and values of one token. */
  readonly cachePerToken: number;
  /** Keys and values per row at the model's full length. */
  readonly cache: number;
  /** Intermediate values of a prefill of the longest prompt or of decoding an image: an upper bound. */
  readonly activations: number;
  /** Weights, cache and activations. */
  readonly total: number;
}

export function memoryNeed(parts: Omit<MemoryNeed, "total">): MemoryNeed {
  return { ...parts, total: parts.weights + parts.cache + parts.activations };
}

/**
 * Checks that a model fits in memory before it is loaded.
 * @param doing for errors: "loading model nano"
 * @param advice what to do if it does not
 * @throws XPromptError when it does not fit
 */
export async function requireMemory(doing: string, need: MemoryNeed, advice: string): Promise<void> {
  const available = await availableMemory();
  if (need.total <= available) return;
  const { weights, cache, activations } = need;
  throw new XPromptError(
    `${doing}: expected ${formatBytes(need.total)} of memory (weights ${formatBytes(weights)}, cache ${formatBytes(cache)}, activations ${formatBytes(activations)}), got ${formatBytes(available)} available (${advice})`,
    { code: "ERR_MEMORY" },
  );
}

/**
 * @param doing for errors: "generating"
 * @param what what needs the memory: "128 sequences of 1,000 tokens"
 * @param advice what to do if there is not enough
 * @throws XPromptError when there is not enough
 */
export async function requireRoom(doing: string, bytes: number, what: string, advice: string): Promise<void> {
  const available = await availableMemory();
  if (bytes <= available) return;
  throw new XPromptError(
    `${doing}: expected ${formatBytes(bytes)} of memory for ${what}, got ${formatBytes(available)} available (${advice})`,
    { code: "ERR_MEMORY" },
  );
}
