/** Higher rotary frequencies: neighbouring positions are easier to distinguish. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, ropeTheta: 100 } });
