/**
 * The second part of the nano model's training: whole pictures of 64 × 64 pixels in 256 codes. It goes on from the model
 * of `nano-windows.ts`, and `nano-transformer.ts` from its model.
 *
 *     npx xprompt train recipes/nano-whole.ts --init=runs/nano-windows/model --mix.pictures=gathered --out runs/nano-whole
 *
 * About an hour on two cores. The learning rate is constant: the decay is at the end of the third part.
 */
import { transformerRecipe } from "x-prompt/training";
import windows from "./nano-windows.ts";

const { window: _, tokenizers: __, averageFrom: ___, ...common } = windows;

export default transformerRecipe({
  ...common,
  init: "runs/nano-windows/model",
  steps: 1_029,
  contexts: 2,
  optimizer: { ...common.optimizer, learningRate: 1.5e-3 },
  schedule: { shape: "constant", warmup: 200 },
});
