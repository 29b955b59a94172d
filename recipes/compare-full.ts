/**
 * What `xprompt eval unseen` calls "full": the nano model, trained further on the very tasks that it never saw, as
 * often as it has seen each of the others. An upper bound for what an example of them can do.
 *
 *     npx xprompt train recipes/compare-full.ts --out runs/compare-full
 *     npx xprompt eval unseen --model runs/compare-full/model --as full
 */
import { transformerRecipe } from "x-prompt/training";
import nano from "./nano-transformer.ts";

export default transformerRecipe({
  seed: 3,
  steps: 320,
  init: "nano",
  contexts: nano.contexts,
  todos: nano.todos,
  optimizer: { ...nano.optimizer, learningRate: 7e-4 },
  schedule: { shape: "cosine", warmup: 20, floor: 0.02 },
  mix: { ...nano.mix, families: nano.mix.heldOut, heldOut: [], describe: 0, textToImage: 0 },
  evaluateEvery: 200,
});
