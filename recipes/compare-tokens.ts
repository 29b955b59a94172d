/**
 * Compares numbers of XP tokens: trains nano further with another S, or with the plain causal mask, for the same number
 * of steps, and measures all models on the same samples.
 *
 *     npx xprompt train recipes/compare-tokens.ts --xprompt.tokens=4 --out runs/tokens-4
 *     npx xprompt eval compression --model runs/tokens-4/model --as sweep --recipe recipes/compare-tokens.ts
 *
 * Repeat this with 16 and 64, and with `--xprompt.mask=causal`. `xprompt eval compression` then lists all of them.
 *
 * The one with the causal mask is also the comparison model "causal" of `xprompt eval unseen`: its generated tokens
 * attend to all tokens of an example instead of its XP tokens (paper, table 4).
 */
import { transformerRecipe } from "x-prompt/training";
import full from "./compare-full.ts";
import nano from "./nano-colours.ts";

export default transformerRecipe({
  ...full,
  seed: 6,
  steps: 100,
  mix: { ...full.mix, families: [], heldOut: nano.mix.heldOut, exampleCounts: [1] },
});
