/**
 * The baseline for comparing designs of the nano model: a small X-Prompt on pictures of 64 × 64 pixels in 256 codes,
 * trained from scratch on scenes, photographs and icons.
 *
 *     npx xprompt train recipes/designs/base.ts --tokenizers=runs/nano-tokenizer/model --mix.pictures=gathered --out runs/designs/base-1
 */
import { transformerRecipe } from "x-prompt/training";

export default transformerRecipe({
  seed: 1,
  steps: 900,
  threads: 1,
  contexts: 2,
  todos: 4,
  model: { hiddenSize: 192, intermediateSize: 512, layers: 4, heads: 6 },
  xprompt: { tokens: 16, maxTextTokens: 12 },
  loss: { query: 0, instruction: 0 },
  optimizer: { learningRate: 2e-3, matrices: "muon", beta1: 0.9, beta2: 0.98, weightDecay: 0.05 },
  schedule: { shape: "wsd", warmup: 80, floor: 0.02, decay: 0.3 },
  mix: {
    pictures: "gathered",
    worlds: { scenes: 1, photos: 1, icons: 1 },
    heldOut: [
      ...[
        "derain",
        "lowLightEnhancement",
        "addObject",
        "addCutout",
        "removeObject",
        "removeColor",
        "removeShape",
      ],
      ...["removeCutout", "depthUnseenPalette", "iconStyleUnseen"],
    ],
    describe: 0.05,
    textToImage: 0.1,
    withoutExample: 0.08,
    exampleInstruction: 0.15,
    todoInstruction: 0.25,
  },
  heldOutBatches: 8,
  evaluateEvery: 300,
  sheetEvery: 900,
  checkpointEvery: 100,
});
