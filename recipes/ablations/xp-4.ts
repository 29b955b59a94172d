/** S = 4: an example is compressed to 4 tokens. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, xprompt: { ...base.xprompt, tokens: 4 } });
