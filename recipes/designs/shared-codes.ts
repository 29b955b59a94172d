/** The rows of image tokens are a shared linear map of code features. */
import { transformerRecipe } from "x-prompt/training";
import base from "./base.ts";

export default transformerRecipe({ ...base, model: { ...base.model, sharedCodes: true } });
