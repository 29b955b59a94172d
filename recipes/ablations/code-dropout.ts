/** A third of the targets is read with any part of its codes as others: words and examples have to say what comes next. */
import { transformerRecipe } from "xprompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, codeDropout: 0.35 } });
