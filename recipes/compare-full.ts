/**
 * The comparison model "full" of `xprompt eval unseen`: nano, trained further on the unseen tasks alone. It shows what
 * training on a task gives. After 300 steps it was still getting better: an example may do more.
 *
 *     npx xprompt train recipes/compare-full.ts --out runs/compare-full
 *     npx xprompt eval unseen --model runs/compare-full/model --as full
 */
import { transformerRecipe } from "x-prompt/training";
import nano from "./nano-colours.ts";

export default transformerRecipe({
  ...nano,
  init: "nano",
  seed: 3,
  steps: 300,
  loss: { ...nano.loss, instruction: 0 },
  optimizer: { ...nano.optimizer, learningRate: 7e-4 },
  // The trained weights themselves, not the mean with nano's.
  initialShare: 0,
  schedule: { shape: "cosine", warmup: 20, floor: 0.02 },
  mix: {
    ...nano.mix,
    // The suite has scenes only, so no gathered pictures are needed.
    ...{ pictures: undefined, worlds: { scenes: 1, photos: 0, icons: 0 } },
    ...{ families: nano.mix.heldOut, heldOut: [] },
    ...{ describe: 0, textToImage: 0 },
  },
  heldOutBatches: 4,
  evaluateEvery: 100,
  sheetEvery: 300,
});
