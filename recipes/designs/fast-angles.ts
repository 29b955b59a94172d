/** Rotary angles that turn faster: neighbours are easier to tell apart. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, ropeTheta: 100 } });
