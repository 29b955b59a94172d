/** One TODO part a context, and as many contexts as make up for it: 1,254 tokens a step instead of 1,272. */
import { transformerRecipe } from "xprompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, contexts: 11, todos: 1 });
