/** Every layer mixes in the first layer's values and the embeddings. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, shortcuts: true } });
