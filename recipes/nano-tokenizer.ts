/**
 * The image tokenizer of the nano model: 64 × 64 pixels as 8 × 8 codes out of 1,024.
 *
 *     npx xprompt train recipes/nano-tokenizer.ts --out runs/nano-tokenizer
 *
 * About 25 minutes on two free cores; 24.4 dB on held-out pictures, 870 of the codes in use.
 */
import { tokenizerRecipe } from "x-prompt/training";

export default tokenizerRecipe({
  seed: 1,
  steps: 2_000,
  batch: 16,
  model: {
    resolution: 64,
    baseChannels: 16,
    channelMultiplier: [1, 2, 4, 4],
    residualBlocks: 1,
    latentChannels: 32,
    embedDim: 16,
    codes: 1024,
    normGroups: 8,
  },
  loss: { absolute: 0.5, squared: 1, edges: 0.25, commitment: 0.25 },
  optimizer: { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, clipNorm: 1 },
  schedule: { shape: "cosine", warmup: 50, floor: 0.02 },
});
