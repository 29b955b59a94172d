/**
 * The nano model: X-Prompt on pictures of 64 × 64 pixels in 256 codes, the fifth part of its training. It goes on from the
 * model of `nano-words.ts`. The loss also has the error of the expected picture, which is what nano shows: a wrong colour
 * costs more, the farther it is from the right one.
 *
 *     npx xprompt train recipes/nano-colours.ts --init=runs/nano-words/model --mix.pictures=gathered --out runs/nano-colours
 *
 * What is written is the mean of the weights before and after. About 45 minutes on two cores. The learning rate is
 * constant until the last third.
 */
import { transformerRecipe } from "x-prompt/training";
import words from "./nano-words.ts";

export default transformerRecipe({
  ...words,
  init: "runs/nano-words/model",
  seed: 5,
  steps: 850,
  loss: { ...words.loss, expected: 10 },
  initialShare: 0.5,
  mix: { ...words.mix, describe: 0.25, textToImage: 0.3, targetDropout: 0.9 },
});
