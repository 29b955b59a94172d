/**
 * A model of nano's sizes from nothing, in one run on rendered scenes: only nano's tokenizers are taken from the shipped
 * model. Targets are hidden and words are trained from the first step on, and the loss has the distances of codes. The
 * first tenth of the steps shows windows of 8 × 8 codes, which leave room for four times as many contexts. Styles of icons
 * (60 pairs of them), edits of an icon's parts, and edits of objects are shown more often than in the parts of the shipped
 * model, which learned them least.
 *
 *     npx xprompt train recipes/nano.ts --out runs/nano
 *
 * The shipped nano was trained in parts instead, also on photographs and icons (models/nano/README.md). About a day
 * on two cores; with `--steps=2000 --windowSteps=500` about an hour and a half. To train on gathered pictures as well (npm run gather), add
 * `--mix.pictures=gathered --mix.worlds.photos=1.2 --mix.worlds.icons=1`.
 */
import { transformerRecipe } from "x-prompt/training";
import colours from "./nano-colours.ts";

const { init: _, initialShare: __, ...common } = colours;

export default transformerRecipe({
  ...common,
  tokenizers: "nano",
  seed: 1,
  steps: 30_000,
  ...{ window: 8, windowSteps: 3_000, windowContexts: 8 },
  optimizer: { ...common.optimizer, learningRate: 1.5e-3 },
  schedule: { ...common.schedule, warmup: 200, decay: 0.5 },
  mix: {
    ...common.mix,
    textToImage: 0.4,
    pictures: undefined,
    worlds: { scenes: 1, photos: 0, icons: 0 },
    weights: {
      ...common.mix.weights,
      ...{ iconStyle: 30, iconPartColor: 3, iconPartOff: 3, iconPartOn: 2, iconHue: 2, iconInk: 2 },
      ...{ removeBox: 3, unstick: 3, sticker: 3, duplicate: 3, replaceObject: 3 },
      ...{ move: 1.5, recolorShape: 1.5, replaceShape: 1.5, cutOut: 1.5 },
    },
  },
});
