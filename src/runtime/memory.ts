/** @file What a model will need of memory, known before it is loaded. */
export interface MemoryNeed {
  /** Bytes of the weights as they are run (float32). */
  readonly weights: number;
  /** Bytes of keys and values at the model's full length, a row. */
  readonly cache: number;
  /** Bytes of intermediate values while the longest prompt is read, an estimate from above. */
  readonly activations: number;
  readonly total: number;
}

export function memoryNeed(parts: Omit<MemoryNeed, "total">): MemoryNeed {
  return { ...parts, total: parts.weights + parts.cache + parts.activations };
}
