/**
 * The nano model: X-Prompt on 64 × 64 pictures, with the tokenizers of `models/nano`.
 *
 *     npx xprompt train recipes/nano-transformer.ts --out runs/nano-transformer
 */
import { transformerRecipe } from "xprompt/training";

export default transformerRecipe({
  seed: 1,
  steps: 5_000,
  tokenizers: "nano",
  contexts: 4,
  todos: 3,
  model: { hiddenSize: 256, intermediateSize: 704, layers: 6, heads: 8 },
  xprompt: { tokens: 16, maxTextTokens: 16 },
  optimizer: { learningRate: 1e-3, beta1: 0.9, beta2: 0.98, weightDecay: 0.05, clipNorm: 1 },
  schedule: { shape: "cosine", warmup: 200, floor: 0.02 },
  mix: { exampleCounts: [3, 1] },
});
