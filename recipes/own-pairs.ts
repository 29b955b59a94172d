/**
 * Teaches the shipped model your own change, from a folder with about fifty before → after pairs of it.
 *
 *     npx xprompt train own-pairs --mix.pairs=DIR --out runs/own-pairs
 *     npx xprompt generate --model runs/own-pairs/model --example before.png after.png --input photo.jpg --output out.png
 *
 * DIR holds `input/` and `output/` with files of the same names, or any other layout of docs/datasets.md. A tenth of the
 * pairs is held out for evaluation. Families of the model's training are mixed in, so that it forgets little.
 *
 * About seven minutes on two cores; docs/tutorial.md shows what to expect. With so few pairs, more steps or a higher
 * learning rate soon overfit.
 */
import { transformerRecipe } from "x-prompt/training";
import nano from "./nano-transformer.ts";

export default transformerRecipe({
  seed: 1,
  steps: 120,
  init: "nano",
  contexts: 2,
  todos: 3,
  optimizer: { learningRate: 6e-4, beta1: 0.9, beta2: 0.98, weightDecay: 0.05, clipNorm: 1 },
  schedule: { shape: "cosine", warmup: 5, floor: 0.05 },
  mix: {
    ...nano.mix,
    // Scenes only, so that no gathered pictures are needed.
    ...{ pictures: undefined, worlds: { scenes: 1, photos: 0, icons: 0 } },
    ...{ exampleCounts: [1], describe: 0, textToImage: 0, pairsShare: 0.7, pairsRequired: true },
  },
  evaluateEvery: 60,
  checkpointEvery: 30,
});
