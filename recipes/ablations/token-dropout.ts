/** Token dropout: a random share of the codes is masked in a third of the targets. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, tokenDropout: 0.35 } });
