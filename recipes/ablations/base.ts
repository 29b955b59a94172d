/**
 * The baseline of the ablations: a small X-Prompt on pictures of 32 × 32 pixels, trained from scratch with nano's
 * tokenizers. It learns to use examples within minutes. `npm run bench -- ablations` trains it and its variants with
 * several seeds, and prints the effect of each setting.
 */
import { transformerRecipe } from "x-prompt/training";

export default transformerRecipe({
  seed: 1,
  steps: 800,
  threads: 1,
  tokenizers: "nano",
  contexts: 4,
  todos: 3,
  model: {
    resolution: 32,
    ...{ hiddenSize: 128, intermediateSize: 352, layers: 4, heads: 4 },
    ...{ ropeTheta: 30, ropeFactor: 0.25 },
  },
  xprompt: { tokens: 16, maxTextTokens: 12 },
  optimizer: { learningRate: 3e-3, beta1: 0.9, beta2: 0.98, weightDecay: 0.05, clipNorm: 1 },
  schedule: { shape: "linear", warmup: 80, floor: 0.02 },
  mix: {
    families: [
      ...[
        "noise",
        "denoise",
        "haze",
        "dehaze",
        "vignette",
        "devignette",
        "holes",
        "inpainting",
        "snow",
        "desnow",
      ],
      ...["invert", "grayscale", "tint", "untint", "hueRotation", "brightness", "exposure", "gamma"],
      ...["flipHorizontal", "frame", "removeFrame", "depth", "segmentation", "segmentationToImage"],
      ...["sticker", "unstick"],
    ],
    heldOut: [
      ...["derain", "lowLightEnhancement", "addObject", "removeObject", "removeColor", "removeShape"],
      "depthUnseenPalette",
    ],
    describe: 0.1,
    textToImage: 0.1,
    withoutExample: 0.08,
    exampleInstruction: 0.15,
    todoInstruction: 0.2,
  },
  heldOutBatches: 1,
  evaluateEvery: 800,
  sheetEvery: 800,
  checkpointEvery: 200,
});
