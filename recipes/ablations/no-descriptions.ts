/** No change is told in words: the batches of difference descriptions are changes like the others. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, describe: 0 } });
