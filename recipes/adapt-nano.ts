/**
 * Trains the shipped model further on two of its tasks without changing its weights: trains low-rank adapters and the
 * embeddings of its XP tokens.
 *
 *     npx xprompt train recipes/adapt-nano.ts --out runs/adapt-nano
 *     npx xprompt generate --adapter runs/adapt-nano/model --example a.png b.png --input c.png --output out.png
 *
 * Trains 240,640 parameters; the 7.6 million of the model are frozen. With `--train=xp --optimizer.learningRate=1e-2` it
 * trains only 4,096. Takes a few minutes on two free cores.
 */
import { transformerRecipe } from "x-prompt/training";
import nano from "./nano-transformer.ts";

export default transformerRecipe({
  seed: 1,
  steps: 100,
  init: "nano",
  train: "lora",
  lora: { rank: 8, alpha: 16 },
  contexts: 2,
  todos: 3,
  optimizer: { learningRate: 2e-3, beta1: 0.9, beta2: 0.98, clipNorm: 1 },
  schedule: { shape: "cosine", warmup: 10, floor: 0.05 },
  mix: {
    families: ["transpose", "swapHalves"],
    describe: 0,
    textToImage: 0,
    withoutExample: 0,
    todoInstruction: 0,
    targetDropout: nano.mix.targetDropout,
  },
  heldOutBatches: 4,
  evaluateEvery: 50,
});
