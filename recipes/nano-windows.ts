/**
 * The first part of the nano model's training: X-Prompt on windows of 8 × 8 codes, a quarter of a picture of 64 × 64
 * pixels, trained from scratch on scenes, photographs and icons. A step has room for four times as many pairs as with
 * whole pictures. `nano-whole.ts` goes on from its model.
 *
 *     npm run gather -- --out gathered
 *     npx xprompt train recipes/nano-tokenizer.ts --pictures=gathered --out runs/nano-tokenizer
 *     npx xprompt train recipes/nano-windows.ts --tokenizers=runs/nano-tokenizer/model --mix.pictures=gathered --out runs/nano-windows
 *
 * About three hours on two cores. The learning rate is constant: the decay is at the end of the third part.
 *
 * Held out are the paper's five unseen tasks (derain, low-light enhancement, object addition and removal, depth in
 * palettes of reserved hues) and two pairs of icon styles.
 */
import { transformerRecipe } from "x-prompt/training";

export default transformerRecipe({
  seed: 1,
  steps: 3_000,
  threads: 2,
  contexts: 8,
  todos: 4,
  window: 8,
  tokenizers: "runs/nano-tokenizer/model",
  model: {
    hiddenSize: 256,
    intermediateSize: 704,
    layers: 6,
    heads: 8,
    sharedCodes: true,
    alignedHeads: true,
    ropeTheta: 100,
    ropeFactor: 0.25,
  },
  xprompt: {
    tokens: 16,
    maxTextTokens: 12,
    // Chosen on seed 1 after training; not part of the weights.
    sampling: {
      ...{ temperature: 0.5, topP: 0.95, guidance: 1, expected: true, onePass: true },
      wordsAlone: { temperature: 1, guidance: 6, expected: false, onePass: false },
    },
  },
  loss: { query: 0, instruction: 0 },
  optimizer: { learningRate: 2e-3, matrices: "muon", beta1: 0.9, beta2: 0.98, weightDecay: 0.05 },
  schedule: { shape: "constant", warmup: 100 },
  averageFrom: 0.95,
  mix: {
    pictures: "gathered",
    worlds: { scenes: 1, photos: 1.2, icons: 1 },
    heldOut: [
      ...["derain", "lowLightEnhancement", "addObject", "addCutout", "removeObject", "removeColor"],
      ...["removeShape", "removeCutout", "depthUnseenPalette", "iconStyleUnseen"],
    ],
    // More weight for tasks that only the example determines, and for tasks related to the held-out ones.
    weights: {
      ...{ otherLook: 6, likeExample: 3, twoChanges: 2, colorMatrix: 2, colorCurves: 2 },
      ...{ desnow: 2.5, denoise: 2, inpainting: 2, dehaze: 2, exposure: 2, brightness: 2, gamma: 2 },
      ...{ depth: 3, sticker: 2, unstick: 2, removeBox: 2, replaceObject: 2, duplicate: 2 },
      ...{ iconStyle: 8 },
      ...{
        depthToImage: 0.5,
        segmentationToImage: 0.5,
        edgesToImage: 0.5,
        instancesToImage: 0.5,
        normalsToImage: 0.5,
      },
    },
    exampleCounts: [6, 2, 1],
    describe: 0.06,
    textToImage: 0.12,
    imageToText: 0.3,
    plainScenes: 0.6,
    withoutExample: 0.07,
    exampleInstruction: 0.2,
    todoInstruction: 0.35,
    tokenNoise: 0.03,
    tokenDropout: 0.35,
    captionDropout: 0.6,
  },
  heldOutBatches: 8,
  evaluateEvery: 500,
  sheetEvery: 500,
  checkpointEvery: 100,
});
