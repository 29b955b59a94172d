/** S = 64: an example is compressed to 64 tokens. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, xprompt: { ...base.xprompt, tokens: 64 } });
