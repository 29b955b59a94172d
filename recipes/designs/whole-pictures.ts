/** Pictures of examples and queries are seen both ways. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, wholePictures: true } });
