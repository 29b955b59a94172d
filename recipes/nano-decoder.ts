/**
 * The nano model's way back from codes to pictures, trained further while its codes stay what they are: a transformer
 * that has learned them goes on working, and draws sharper pictures.
 *
 *     npx xprompt train recipes/nano-decoder.ts --out runs/nano-decoder
 */
import { tokenizerRecipe } from "xprompt/training";

export default tokenizerRecipe({
  seed: 2,
  steps: 4_000,
  batch: 16,
  init: "nano",
  train: "decoder",
  loss: { absolute: 0.2, squared: 1, edges: 0.1, commitment: 0 },
  optimizer: { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, clipNorm: 1 },
  schedule: { shape: "cosine", warmup: 50, floor: 0.02 },
});
