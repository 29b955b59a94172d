/**
 * The nano model: X-Prompt on pictures of 64 × 64 pixels in 256 codes, the fourth part of its training. It goes on from the
 * model of `nano-transformer.ts` with far more words: descriptions of changes, captions, and instructions, which are
 * predicted as well. Two batches of five remain changes of pictures, so that these are not forgotten.
 *
 *     npx xprompt train recipes/nano-words.ts --init=runs/nano-transformer/model --mix.pictures=gathered --out runs/nano-words
 *
 * About an hour on two cores. The learning rate is constant until the last third.
 */
import { transformerRecipe } from "x-prompt/training";
import hidden from "./nano-transformer.ts";

export default transformerRecipe({
  ...hidden,
  init: "runs/nano-transformer/model",
  seed: 4,
  steps: 1_300,
  loss: { query: 0, instruction: 2 },
  optimizer: { ...hidden.optimizer, learningRate: 1e-3 },
  schedule: { shape: "wsd", warmup: 50, floor: 0.02, decay: 0.35 },
  mix: {
    ...hidden.mix,
    describe: 0.35,
    textToImage: 0.4,
    imageToText: 0.15,
    todoInstruction: 0.5,
    targetDropout: 0.85,
    scheduledSampling: 0,
  },
});
