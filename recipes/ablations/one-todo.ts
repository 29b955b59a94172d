/** One TODO part a context, and as many contexts as make up for it: 798 tokens a step instead of 848. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, contexts: 7, todos: 1 });
