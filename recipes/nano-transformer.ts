/**
 * The nano model: X-Prompt on pictures of 64 × 64 pixels in 256 codes, the second part of its training. It goes on from
 * the model of `nano-windows.ts`, with whole pictures.
 *
 *     npx xprompt train recipes/nano-transformer.ts --init=runs/nano-windows/model --mix.pictures=gathered --out runs/nano
 *
 * About seven hours on two cores. The learning rate is constant until the last third, so the run may also end earlier
 * (`--resume --steps=9000`) with the same result as a run of that length.
 */
import { transformerRecipe } from "x-prompt/training";
import windows from "./nano-windows.ts";

const { window: _, tokenizers: __, ...common } = windows;

export default transformerRecipe({
  ...common,
  init: "runs/nano-windows/model",
  steps: 12_000,
  contexts: 2,
  optimizer: { ...common.optimizer, learningRate: 1.5e-3 },
  schedule: { shape: "wsd", warmup: 200, floor: 0.02, decay: 0.33 },
  averageFrom: 0.9,
  mix: { ...common.mix, ownCodes: 0.5, ownCodesFrom: 0.75 },
});
