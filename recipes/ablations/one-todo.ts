/** One TODO part per context, with more contexts to compensate: 2,142 tokens per step instead of 2,384. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, contexts: 7, todos: 1 });
