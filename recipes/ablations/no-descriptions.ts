/** No descriptions of changes in words: their batches become batches of changes. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, describe: 0 } });
