/** What is drawn sees all of an example, and not its XP tokens alone. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, xprompt: { ...base.xprompt, mask: "causal" } });
