/** Of a third of the targets any part of the codes is hidden: words and examples have to say what comes next. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, mix: { ...base.mix, codeDropout: 0.35 } });
