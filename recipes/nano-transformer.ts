/**
 * The nano model: X-Prompt on pictures of 64 × 64 pixels in 256 codes, the third part of its training. It goes on from the
 * model of `nano-whole.ts`. Three quarters of the targets are hidden from the model that predicts them. What a change is
 * can only be read from the example there, not from the target's first codes. `nano-words.ts` goes on from its model.
 *
 *     npx xprompt train recipes/nano-transformer.ts --init=runs/nano-whole/model --mix.pictures=gathered --out runs/nano-transformer
 *
 * About three hours on two cores. The learning rate is constant until the last third, so the run may also end earlier
 * (`--resume --steps=3000`) with the same result as a run of that length.
 */
import { transformerRecipe } from "x-prompt/training";
import whole from "./nano-whole.ts";

export default transformerRecipe({
  ...whole,
  init: "runs/nano-whole/model",
  steps: 4_000,
  schedule: { shape: "wsd", warmup: 100, floor: 0.02, decay: 0.33 },
  averageFrom: 0.95,
  mix: {
    ...whole.mix,
    weights: {
      ...whole.mix.weights,
      ...{
        invert: 1.5,
        grayscale: 1.5,
        duotone: 1.5,
        tint: 1.5,
        hueRotation: 1.5,
        saturation: 1.5,
        contrast: 1.5,
      },
      ...{ deblur: 1.5, dejpeg: 1.5, superResolution: 1.5, flipHorizontal: 1.5 },
      // Random detail that no example tells, and pictures that the query hardly determines.
      ...{ noise: 0.4, rain: 0.5, snow: 0.5, dots: 0.5, undots: 0.5, colorCorners: 0.4, posterize: 0.5 },
      ...{ shuffleQuarters: 0.5, tile: 0.5, wave: 0.5, unwave: 0.5, sketchToImage: 0.3, neonToImage: 0.3 },
      ...{ depthToImage: 0.3, segmentationToImage: 0.3, edgesToImage: 0.3, instancesToImage: 0.3 },
      ...{ normalsToImage: 0.3 },
    },
    targetDropout: 0.75,
    describe: 0.05,
    textToImage: 0.1,
    scheduledSampling: 0.5,
    scheduledSamplingFrom: 0.8,
  },
});
