/**
 * The comparison model "causal" of `xprompt eval unseen`: nano, trained further with the plain causal mask. Generated
 * tokens then attend to all tokens of an example instead of its XP tokens (paper, table 4).
 *
 *     npx xprompt train recipes/compare-causal.ts --out runs/compare-causal
 *     npx xprompt eval unseen --model runs/compare-causal/model --as causal
 */
import { transformerRecipe } from "x-prompt/training";
import full from "./compare-full.ts";
import nano from "./nano-transformer.ts";

export default transformerRecipe({
  ...full,
  seed: 4,
  steps: 260,
  xprompt: { mask: "causal" },
  mix: { ...full.mix, families: [], heldOut: nano.mix.heldOut, exampleCounts: [1] },
});
