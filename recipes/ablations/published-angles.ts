/** Rotary frequencies as published: base 10,000, positions not scaled. Neighbouring positions are hard to distinguish. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, ropeTheta: 10_000, ropeFactor: 1 } });
