/**
 * The second part of the nano model's training: windows as in `nano-windows.ts`, where three fifths of the targets are
 * hidden from the model that predicts them. Only the example says there what the change is, so the model learns to read
 * it. `nano-transformer.ts` goes on from its model.
 *
 *     npx xprompt train recipes/nano-examples.ts --init=runs/nano-windows/model --mix.pictures=gathered --out runs/nano-examples
 */
import { transformerRecipe } from "x-prompt/training";
import windows from "./nano-windows.ts";

const { tokenizers: _, ...common } = windows;

export default transformerRecipe({
  ...common,
  init: "runs/nano-windows/model",
  steps: 1_000,
  optimizer: { ...common.optimizer, learningRate: 1.5e-3 },
  mix: { ...common.mix, targetDropout: 0.6, describe: 0.03, textToImage: 0.08 },
});
