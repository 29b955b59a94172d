/** Generated tokens attend to all tokens of an example instead of its XP tokens. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, xprompt: { ...base.xprompt, mask: "causal" } });
