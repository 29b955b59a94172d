/** Rotary angles as published, base 10,000 and not scaled: of a hundred tokens, neighbours are hard to tell apart. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, ropeTheta: 10_000, ropeFactor: 1 } });
