/** Rows of image tokens share a linear map of what their codes look like. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, sharedCodes: true } });
